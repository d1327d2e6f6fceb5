//! The text of some kernels, for one set of sizes and kinds of numbers.

const COMMON: &str = include_str!("cuda/common.cuh");

/// What is compiled at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    name: &'static str,
    source: &'static str,
    macros: Vec<(&'static str, String)>,
}

impl Text {
    /// The text `source` of the file `name`, with what it asks for as macros.
    pub fn new(name: &'static str, source: &'static str, macros: &[(&'static str, &dyn std::fmt::Display)]) -> Self {
        Self { name, source, macros: macros.iter().map(|(name, value)| (*name, value.to_string())).collect() }
    }

    /// The file's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The whole text for a compiler.
    pub fn whole(&self) -> String {
        let macros = self.macros.iter().map(|(name, value)| format!("#define {name} {value}\n"));
        macros.chain([COMMON.to_string(), self.source.to_string()]).collect()
    }
}

#[cfg(test)]
impl Text {
    /// The texts in Hopper's own instructions (sm_90a).
    pub fn hopper_examples() -> Vec<Self> {
        vec![super::feed_forward_products::text()]
    }

    /// Every other text, with sizes that a training step asks for.
    pub fn examples() -> Vec<Self> {
        let text = |name, source, macros: &[(&'static str, &'static str)]| Self {
            name,
            source,
            macros: macros.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        };
        let (norm, loss) = (include_str!("cuda/add_norm.cu"), include_str!("cuda/vocabulary_loss.cu"));
        let rows = [("RMS", "0"), ("STREAM", "float"), ("BRANCH", "bf16")];
        let held = [("HELD", "1"), ("SMOOTHED", "1")];
        let narrow = [("WIDTH", "512"), ("WARPS", "1"), ("ROWS", "8")];
        let wide = [("WIDTH", "770"), ("WARPS", "3"), ("ROWS", "2")];
        let paper = [("VOCABULARY", "32000"), ("THREADS", "512"), ("VECTORS", "8")];
        let gpt2 = [("VOCABULARY", "50257"), ("THREADS", "640"), ("VECTORS", "10")];
        let activation = |kind| [("WIDTH", "2048"), ("NUMBER", "bf16"), ("ACTIVATION", kind)];
        let mixture = [
            ("HEADS", "8"),
            ("PARTS", "2"),
            ("WIDTHS", "64, 64"),
            ("WIDTH", "128"),
            ("QUERY_COLUMNS", "512, 0"),
            ("KEY_COLUMNS", "-1, 1024"),
            ("QUERY_RELU", "1, 0"),
            ("SCALES", "1e0f, 1.25e-1f"),
            ("COLUMNS", "2048"),
            ("VALUE_COLUMN", "1536"),
            ("VALUE_WIDTH", "64"),
            ("WEIGHTED", "1"),
            ("WEIGHT_HEADS", "1"),
        ];
        vec![
            text("column_sums.cu", include_str!("cuda/column_sums.cu"), &[]),
            text("dropout_hashes.cu", include_str!("cuda/dropout_hashes.cu"), &[]),
            text("add_norm.cu", norm, &[narrow, rows].concat()),
            text("add_norm.cu", norm, &[wide, rows].concat()),
            text("activation.cu", include_str!("cuda/activation.cu"), &activation("0")),
            text("activation.cu", include_str!("cuda/activation.cu"), &activation("1")),
            text("vocabulary_loss.cu", loss, &[&paper[..], &held].concat()),
            text("vocabulary_loss.cu", loss, &[&gpt2[..], &held].concat()),
            text("embedding.cu", include_str!("cuda/embedding.cu"), &[("WIDTH", "512"), ("STREAM", "float")]),
            text("shared_softmax.cu", include_str!("cuda/shared_softmax.cu"), &[("NUMBER", "bf16")]),
            text("permute.cu", include_str!("cuda/permute.cu"), &[("NUMBER", "bf16")]),
            text("score_operands.cu", include_str!("cuda/score_operands.cu"), &mixture),
            text("adamw.cu", include_str!("cuda/adamw.cu"), &[]),
        ]
    }
}
