//! Language modelling, translation, summaries, dialogues, and the classification of news and reviews.

use super::super::shards::SplitFiles;
use super::{Content, Format, HubSet, LabelKind, Labelled, Layout};

/// The branch that the hub keeps its own conversions on.
const CONVERTED: &str = "refs/convert/parquet";

const RESEARCH_NEWS: &str = "none stated; news texts of the WMT shared tasks, which are given for research";

/// A layout on the main branch.
macro_rules! layouts {
    ($format:ident: $($split:literal $prefix:literal),+) => {
        &[layout!("main", $format: $($split $prefix),+)]
    };
}

macro_rules! layout {
    ($revision:expr, $format:ident: $($split:literal $prefix:literal),+) => {
        Layout {
            revision: $revision,
            format: Format::$format,
            splits: &[$(SplitFiles { split: $split, prefix: $prefix }),+],
        }
    };
}

pub(super) const SETS: &[HubSet] = &[
    HubSet {
        name: "lm1b",
        description: "One Billion Word Benchmark: single sentences of news in no order; no validation split",
        repository: "billion-word-benchmark/lm1b",
        layouts: &[layout!(CONVERTED, Parquet: "train" "plain_text/train", "test" "plain_text/test")],
        content: Content::Texts { column: "text" },
        licence: RESEARCH_NEWS,
        research_only: true,
    },
    wikitext_2(),
    wikitext_103(),
    HubSet {
        name: "c4",
        description: "Colossal Clean Crawled Corpus, English (the configuration en): pages of the web",
        repository: "allenai/c4",
        layouts: layouts!(GzippedJsonLines: "train" "en/c4-train", "validation" "en/c4-validation"),
        content: Content::Texts { column: "text" },
        licence: "ODC-BY 1.0, and the terms of use of Common Crawl",
        research_only: false,
    },
    HubSet {
        name: "wmt14-de-en",
        description: "WMT 2014, English to German; newstest2013 and newstest2014",
        repository: "wmt/wmt14",
        layouts: layouts!(Parquet: "train" "de-en/train", "validation" "de-en/validation", "test" "de-en/test"),
        content: translation("translation.en", "translation.de", "de"),
        licence: RESEARCH_NEWS,
        research_only: true,
    },
    HubSet {
        name: "wmt14-fr-en",
        description: "WMT 2014, English to French; newstest2013 and newstest2014",
        repository: "wmt/wmt14",
        layouts: layouts!(Parquet: "train" "fr-en/train", "validation" "fr-en/validation", "test" "fr-en/test"),
        content: translation("translation.en", "translation.fr", "fr"),
        licence: RESEARCH_NEWS,
        research_only: true,
    },
    HubSet {
        name: "multi30k",
        description: "Multi30k, English to German: captions of photographs; test is test_2016_flickr",
        repository: "bentrevett/multi30k",
        layouts: layouts!(JsonLines: "train" "train", "validation" "val", "test" "test"),
        content: translation("en", "de", "de"),
        licence: "none stated; given for non-commercial research and education",
        research_only: true,
    },
    HubSet {
        name: "cnn-dailymail",
        description: "CNN/DailyMail 3.0.0: news articles and their highlights",
        repository: "abisee/cnn_dailymail",
        layouts: layouts!(Parquet: "train" "3.0.0/train", "validation" "3.0.0/validation", "test" "3.0.0/test"),
        content: Content::Pairs { source: "article", target: "highlights", languages: None },
        licence: "Apache-2.0 as stated on the hub; the articles are their publishers'",
        research_only: false,
    },
    HubSet {
        name: "personachat",
        description: "PersonaChat, true-cased: turns of dialogues with 20 candidates each; no test split",
        repository: "bavard/personachat_truecased",
        layouts: &[
            layout!("main", JsonArray:
                "train" "personachat_truecased_full_train",
                "validation" "personachat_truecased_full_valid"),
            layout!(CONVERTED, Parquet: "train" "full/train", "validation" "full/validation"),
        ],
        content: Content::Dialogue,
        licence: "CC BY 4.0",
        research_only: false,
    },
    HubSet {
        name: "ag-news",
        description: "AG News: titles and leads of news in four classes",
        repository: "fancyzhx/ag_news",
        layouts: layouts!(Parquet: "train" "data/train", "test" "data/test"),
        content: classes(&["World", "Sports", "Business", "Sci/Tech"]),
        licence: "none stated; the corpus is given for non-commercial use",
        research_only: true,
    },
    HubSet {
        name: "imdb",
        description: "Large Movie Review Dataset: reviews, positive or negative, and as many without a label",
        repository: "stanfordnlp/imdb",
        layouts: layouts!(Parquet:
            "train" "plain_text/train", "test" "plain_text/test", "unsupervised" "plain_text/unsupervised"),
        content: classes(&["neg", "pos"]),
        licence: "none stated; given for research (Maas et al. 2011)",
        research_only: true,
    },
    HubSet {
        name: "rotten-tomatoes",
        description: "Movie Review data: sentences of reviews, positive or negative",
        repository: "cornell-movie-review-data/rotten_tomatoes",
        layouts: layouts!(Parquet: "train" "train", "validation" "validation", "test" "test"),
        content: classes(&["neg", "pos"]),
        licence: "none stated; given for research (Pang and Lee 2005)",
        research_only: true,
    },
];

const fn wikitext_2() -> HubSet {
    HubSet {
        name: "wikitext-2",
        description: "WikiText-2, raw: good articles of Wikipedia as running text",
        layouts: layouts!(Parquet:
            "train" "wikitext-2-raw-v1/train",
            "validation" "wikitext-2-raw-v1/validation",
            "test" "wikitext-2-raw-v1/test"),
        ..wikitext_103()
    }
}

const fn wikitext_103() -> HubSet {
    HubSet {
        name: "wikitext-103",
        description: "WikiText-103, raw: good articles of Wikipedia as running text",
        repository: "Salesforce/wikitext",
        layouts: layouts!(Parquet:
            "train" "wikitext-103-raw-v1/train",
            "validation" "wikitext-103-raw-v1/validation",
            "test" "wikitext-103-raw-v1/test"),
        content: Content::Lines { column: "text", blank: " " },
        licence: "CC BY-SA 3.0 and GFDL",
        research_only: false,
    }
}

/// Pairs out of English.
const fn translation(source: &'static str, target: &'static str, language: &'static str) -> Content {
    Content::Pairs { source, target, languages: Some(("en", language)) }
}

/// One text in a class.
const fn classes(classes: &'static [&'static str]) -> Content {
    Content::Labelled(Labelled { text: "text", text_b: None, fields: &[], label: LabelKind::Classes(classes) })
}
