//! Hostile expositions: what a target says must not stop its scrapes, or the process.

use std::path::Path;

use super::{Entry, Format, HistogramChoice, Parser, ProtobufParser};

/// The first byte says the format.
fn fuzz_exposition(data: &[u8]) {
    let Some((mode, body)) = data.split_first() else { return };
    let format = match mode % 4 {
        0 => Format::Prometheus,
        1 => Format::OpenMetrics,
        native => return families(body, HistogramChoice { native: native == 2, classic_too: mode & 4 != 0 }),
    };
    let mut parser = Parser::new(body, format);
    loop {
        match parser.next_entry() {
            Ok(Some(Entry::Series(line))) => {
                assert!(body.as_ptr_range().contains(&line.text.as_ptr()), "its text stands in the body");
                if parser.labels().is_ok() && line.exemplar.is_some() {
                    let _labels = parser.exemplar_labels();
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
}

fn families(body: &[u8], choice: HistogramChoice) {
    let mut parser = ProtobufParser::new(body, choice);
    while let Ok(Some((metadata, samples))) = parser.next_family() {
        assert!(!metadata.metric.is_empty());
        for sample in samples {
            assert_eq!(sample.exemplars(0).count(), sample.exemplars.len());
        }
    }
}

#[test]
fn expositions() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/exposition");
    vocab::testing::fuzz::fuzz(&corpus, &[], fuzz_exposition);
}
