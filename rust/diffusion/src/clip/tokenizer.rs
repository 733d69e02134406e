//! CLIP's byte pair encoding, from the `vocab.json` and `merges.txt` of a checkpoint.

use std::path::Path;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::config;
use crate::{Error, Result};

/// Contractions, words, single digits, runs of anything else.
const PIECES: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Turns texts into rows of ids of one length.
pub struct ClipTokenizer {
    inner: Tokenizer,
    start: u32,
    end: u32,
    pad: u32,
    length: usize,
}

impl std::fmt::Debug for ClipTokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ClipTokenizer").field("length", &self.length).finish_non_exhaustive()
    }
}

impl ClipTokenizer {
    /// Reads the `tokenizer` folder of a checkpoint; texts become `length` ids.
    ///
    /// The special tokens are those of `special_tokens_map.json` where there is one: it wins over
    /// `tokenizer_config.json`, and in v1.1 of Zero123++ the two disagree about padding.
    pub fn read(folder: &Path, length: usize) -> Result<Self> {
        let vocab = folder.join("vocab.json");
        let merges = folder.join("merges.txt");
        for path in [&vocab, &merges] {
            std::fs::metadata(path).map_err(|error| maquette_core::Error::io("reading", path, error))?;
        }
        let (map, general) = (folder.join("special_tokens_map.json"), folder.join("tokenizer_config.json"));
        let specials: Vec<Value> = [map, general]
            .iter()
            .filter(|path| path.is_file())
            .map(|path| config::read(path))
            .collect::<Result<_>>()?;
        let special = |role: &str| -> Result<String> {
            specials
                .iter()
                .filter_map(|json| json.get(role))
                .find_map(|token| token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned))
                .ok_or_else(|| Error::config(&folder.join("special_tokens_map.json"), format!("{role} is missing")))
        };
        let (start, end, pad) = (special("bos_token")?, special("eos_token")?, special("pad_token")?);
        let unknown = special("unk_token").unwrap_or_else(|_| end.clone());
        let bad =
            |error: tokenizers::Error| Error::config(&vocab, format!("with merges.txt, is no vocabulary: {error}"));
        let model = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
            .end_of_word_suffix("</w>".into())
            .unk_token(unknown)
            .build()
            .map_err(bad)?;
        let mut inner = Tokenizer::new(model);
        // Without its optional text-fixing package, which the references of this crate did not have, the original
        // cleans text as BERT does.
        inner.with_normalizer(Some(BertNormalizer::new(true, true, Some(true), true))).map_err(bad)?;
        let split =
            Split::new(SplitPattern::Regex(PIECES.into()), SplitDelimiterBehavior::Removed, true).map_err(bad)?;
        inner.with_pre_tokenizer(Some(Sequence::new(vec![
            BertPreTokenizer.into(),
            split.into(),
            ByteLevel::new(false, false, false).into(),
        ])));
        let ids = [&start, &end, &pad].map(|token| {
            inner
                .token_to_id(token)
                .ok_or_else(|| Error::config(&vocab, format!("has no id for the special token {token:?}")))
        });
        let [start_id, end_id, pad_id] = ids;
        let tokens = [start, end, pad].map(|token| AddedToken::from(token, true));
        inner.add_special_tokens(tokens).map_err(bad)?;
        if length < 2 {
            return Err(Error::invalid(format!(
                "texts of {length} tokens have no room for start and end; use at least 2"
            )));
        }
        Ok(Self { inner, start: start_id?, end: end_id?, pad: pad_id?, length })
    }

    /// Ids of a text: start, words, end, padding; words that do not fit are cut off.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let words = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::invalid(format!("text {text:?} cannot be tokenized: {error}")))?;
        let mut ids = vec![self.start];
        ids.extend(words.get_ids().iter().take(self.length - 2));
        ids.push(self.end);
        ids.resize(self.length, self.pad);
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of the published vocabulary that three texts need; ids checked against the original's.
    #[test]
    fn known_texts_give_known_ids() {
        let words = [
            ("a</w>", 320),
            ("photo</w>", 1125),
            ("side</w>", 1145),
            ("view</w>", 1093),
            ("of</w>", 539),
            ("parrot</w>", 23_565),
            (".</w>", 269),
            ("best</w>", 949),
            ("quality</w>", 3027),
            (",</w>", 267),
            ("3</w>", 274),
            ("d</w>", 323),
            ("render</w>", 13_024),
            ("red</w>", 736),
            ("chair</w>", 4269),
            ("(</w>", 263),
            ("front</w>", 2184),
            (")</w>", 264),
            ("4</w>", 275),
            ("k</w>", 330),
            ("!", 0),
            ("<|startoftext|>", 49_406),
            ("<|endoftext|>", 49_407),
        ];
        let mut vocab: serde_json::Map<String, Value> =
            words.iter().map(|&(word, id)| (word.to_owned(), id.into())).collect();
        let mut merges = vec!["#version: 0.2".to_owned()];
        let mut fresh = 60_000;
        let mut add = |piece: &str, vocab: &mut serde_json::Map<String, Value>| {
            if !vocab.contains_key(piece) {
                vocab.insert(piece.to_owned(), fresh.into());
                fresh += 1;
            }
        };
        // Words are put together from the left, one letter at a time.
        for (word, _) in words {
            let Some(stem) = word.strip_suffix("</w>") else { continue };
            let letters: Vec<char> = stem.chars().collect();
            for &letter in &letters {
                add(&letter.to_string(), &mut vocab);
                add(&format!("{letter}</w>"), &mut vocab);
            }
            for end in 1..letters.len() {
                let left: String = letters[..end].iter().collect();
                let right = format!("{}{}", letters[end], if end + 1 == letters.len() { "</w>" } else { "" });
                let merge = format!("{left} {right}");
                if !merges.contains(&merge) {
                    add(&format!("{left}{right}"), &mut vocab);
                    merges.push(merge);
                }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.json"), Value::Object(vocab).to_string()).unwrap();
        std::fs::write(folder.path().join("merges.txt"), merges.join("\n")).unwrap();
        let special = r#"{"bos_token": {"content": "<|startoftext|>"}, "eos_token": "<|endoftext|>", "pad_token": "!", "unk_token": "<|endoftext|>"}"#;
        std::fs::write(folder.path().join("special_tokens_map.json"), special).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"pad_token": "<|endoftext|>"}"#).unwrap();
        let tokenizer = ClipTokenizer::read(folder.path(), 77).unwrap();
        let check = |text: &str, wanted: &[u32]| {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(ids.len(), 77);
            let mut padded = vec![49_406];
            padded.extend(wanted);
            padded.push(49_407);
            padded.resize(77, 0);
            assert_eq!(ids, padded, "{text}");
        };
        check("", &[]);
        check("a photo", &[320, 1125]);
        check("Side view of a parrot.", &[1145, 1093, 539, 320, 23_565, 269]);
        check(
            "best quality, 3D render of a red chair (front view), 4k!",
            &[949, 3027, 267, 274, 323, 13_024, 539, 320, 736, 4269, 263, 2184, 1093, 264, 267, 275, 330, 0],
        );
        let long = tokenizer.encode(&"a ".repeat(500)).unwrap();
        assert_eq!((long.len(), long[75], long[76]), (77, 320, 49_407));
    }
}
