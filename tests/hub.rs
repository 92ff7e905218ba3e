//! Resolutions against a Hub on loopback: which strategy wins, what was asked of whom, and what goes wrong without harm.
#![cfg(feature = "hub")]

#[path = "hub/caches.rs"]
mod caches;
#[path = "hub/failures.rs"]
mod failures;
#[path = "hub/fake_hub.rs"]
mod fake_hub;
#[path = "hub/hostile.rs"]
mod hostile;
#[path = "hub/models.rs"]
mod models;
#[path = "hub/names.rs"]
mod names;
#[path = "hub/order.rs"]
mod order;
#[path = "hub/requests.rs"]
mod requests;
#[path = "hub/world.rs"]
mod world;
