//! Tokens in SQL: `token_count(text)` and `token_ids(text)` as functions of DataFusion, over a Parquet file.
//!
//! ```text
//! cargo run --release -- MODEL [FILE.parquet]
//! ```
//!
//! The file has a column `text`; without one, 200,000 rows are made up. Prints totals by SQL, holds every row's ids against
//! `Tokenizer::encode`, and tells the rows per second beside one thread that encodes the same texts.

use std::error::Error;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anytok::{Resolver, Special, Tokenizer};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray, UInt32Array,
};
use datafusion::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

/// What a function gives for a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Answer {
    Count,
    Ids,
}

/// A function of a text, by one tokenizer. Null stays null.
struct TokenFunction {
    name: &'static str,
    answer: Answer,
    /// DataFusion tells functions apart by what makes them, so two models must differ.
    model: String,
    tokenizer: Tokenizer,
    signature: Signature,
}

impl TokenFunction {
    fn new(name: &'static str, answer: Answer, model: &str, tokenizer: &Tokenizer) -> Self {
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        Self { name, answer, model: model.to_owned(), tokenizer: tokenizer.clone(), signature }
    }
}

impl std::fmt::Debug for TokenFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct(self.name).field("model", &self.model).finish_non_exhaustive()
    }
}

impl PartialEq for TokenFunction {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.answer, &self.model) == (other.name, other.answer, &other.model)
    }
}

impl Eq for TokenFunction {}

impl Hash for TokenFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.answer, &self.model).hash(state);
    }
}

impl ScalarUDFImpl for TokenFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.answer {
            Answer::Count => DataType::Int64,
            Answer::Ids => DataType::List(Arc::new(item())),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [column] = &ColumnarValue::values_to_arrays(&args.args)?[..] else {
            return Err(exec_datafusion_err!("{} takes one text", self.name));
        };
        let texts = column.as_string::<i32>();
        // The buffers of the column as they are: no row is copied on its way in.
        let (ids, offsets) = self
            .tokenizer
            .encode_columns(texts.values(), texts.offsets(), Special::Ignore)
            .map_err(|error| exec_datafusion_err!("{}: {error}", self.name))?;
        let nulls = texts.nulls().cloned();
        let answer: ArrayRef = match self.answer {
            Answer::Count => {
                let counts = offsets.windows(2).map(|row| i64::from(row[1] - row[0]));
                Arc::new(Int64Array::new(counts.collect(), nulls))
            }
            Answer::Ids => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(ListArray::new(Arc::new(item()), offsets, Arc::new(UInt32Array::from(ids)), nulls))
            }
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// What a list of ids holds.
fn item() -> Field {
    Field::new_list_field(DataType::UInt32, false)
}

/// Rows to count where no file is given: every length, several scripts, a null now and then.
async fn made_up(context: &SessionContext, path: &str) -> Result<()> {
    const WORDS: [&str; 16] = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "1984",
        "token's",
        "naïve",
        "Straße",
        "привет",
        "мир",
        "世界",
        "(x + 1)",
        "🌊",
        "antidisestablishmentarianism",
        "\n\n",
    ];
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) % below
    };
    let row = |_| {
        let words = random(60);
        (words > 0).then(|| (0..words).map(|_| WORDS[random(16) as usize]).collect::<Vec<_>>().join(" "))
    };
    let texts: StringArray = (0..200_000).map(row).collect();
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
    let rows = RecordBatch::try_new(schema, vec![Arc::new(texts)])?;
    context.read_batch(rows)?.write_parquet(path, DataFrameWriteOptions::new(), None).await?;
    Ok(())
}

async fn run(model: &str, file: Option<String>) -> Result<(), Box<dyn Error>> {
    let found = Resolver::builder().strict(true).build().resolve(model)?;
    let tokenizer = found.tokenizer();
    let context = SessionContext::new();
    for (name, answer) in [("token_count", Answer::Count), ("token_ids", Answer::Ids)] {
        context.register_udf(ScalarUDF::from(TokenFunction::new(name, answer, model, tokenizer)));
    }
    let path = match file {
        Some(file) => file,
        None => {
            let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
            std::fs::create_dir_all(&target)?;
            let path = target.join("texts.parquet");
            let path = path.to_str().ok_or("expected a path in UTF-8")?.to_owned();
            let _ = std::fs::remove_file(&path);
            made_up(&context, &path).await?;
            path
        }
    };
    context.register_parquet("texts", &path, ParquetReadOptions::default()).await?;

    let totals = "SELECT count(*), sum(token_count(text)), max(token_count(text)) FROM texts";
    context.sql(totals).await?.show().await?;

    let counting = Instant::now();
    let sum = context.sql("SELECT sum(token_count(text)) FROM texts").await?.collect().await?;
    let counting = counting.elapsed();
    let sum = sum[0].column(0).as_primitive::<Int64Type>().value(0);

    let rows = context.sql("SELECT CAST(text AS VARCHAR) AS text, token_ids(text) AS ids FROM texts").await?;
    let rows = rows.collect().await?;
    let (mut count, mut tokens, mut bytes) = (0, 0, 0);
    let mut encoding = std::time::Duration::ZERO;
    for batch in &rows {
        let texts = datafusion::arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
        let (texts, lists) = (texts.as_string::<i32>(), batch.column(1).as_list::<i32>());
        for row in 0..batch.num_rows() {
            count += 1;
            if texts.is_null(row) {
                assert!(lists.is_null(row), "null is null");
                continue;
            }
            let begin = Instant::now();
            let ids = tokenizer.encode(texts.value(row), Special::Ignore)?;
            encoding += begin.elapsed();
            assert_eq!(
                lists.value(row).as_primitive::<UInt32Type>().values()[..],
                ids[..],
                "{:?}",
                texts.value(row)
            );
            tokens += ids.len();
            bytes += texts.value(row).len();
        }
    }
    assert_eq!(tokens as i64, sum);
    println!("{count} rows, {:.1} MB: the ids of every row are those of `encode`", bytes as f64 / 1e6);
    println!("by SQL over Parquet: {:.0} rows/s", f64::from(count) / counting.as_secs_f64());
    println!("encode, one thread:  {:.0} rows/s", f64::from(count) / encoding.as_secs_f64());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: anytok-datafusion MODEL [FILE.parquet]")?;
    tokio::runtime::Runtime::new()?.block_on(run(&model, arguments.next()))
}
