//! The files of `synth score`, line beside line.

use super::answers::{self, Line};
use super::lines::Text;
use crate::cli::ScoreArguments;
use crate::data::source::{check_input, is_stdin};
use crate::metrics::corpus::Corpus;
use crate::refuse;
use anyhow::{Context, Result, anyhow, bail};
use std::path::Path;

/// The texts of all files.
pub struct Texts {
    hypotheses: Text,
    references: Vec<Text>,
    baseline: Option<Text>,
}

impl Texts {
    /// Reads every file that the arguments name.
    pub fn read(arguments: &ScoreArguments) -> Result<Self> {
        let baseline = arguments.baseline();
        let all = [Some(arguments.hypotheses.as_path()), baseline].into_iter().flatten();
        let all = all.chain(arguments.vectors.as_deref());
        let all: Vec<&Path> = all.chain(arguments.references.iter().map(|path| path.as_path())).collect();
        if all.iter().filter(|path| is_stdin(path)).count() > 1 {
            refuse!("- stands for stdin, which only one file can be; name the others");
        }
        // What is not there is told before anything is read.
        all.iter().try_for_each(|path| check_input(path))?;
        Ok(Self {
            hypotheses: Text::read(&arguments.hypotheses)?,
            references: arguments.references.iter().map(|path| Text::read(path)).collect::<Result<_>>()?,
            baseline: baseline.map(Text::read).transpose()?,
        })
    }

    /// The lines of the files, equally many in each. With `answers`, JSON lines are read as such.
    ///
    /// # Errors
    /// Files of unequal length; JSON lines that are none; groups that differ.
    pub fn inputs(&self, answers: bool) -> Result<Inputs<'_>> {
        let hypotheses = Input::new(&self.hypotheses, answers)?;
        let references = self.references.iter().map(|text| Input::new(text, answers)).collect::<Result<Vec<_>>>()?;
        let baseline = self.baseline.as_ref().map(|text| Input::new(text, answers)).transpose()?;
        for other in references.iter().chain(&baseline) {
            hypotheses.check_beside(other)?;
        }
        Ok(Inputs { hypotheses, references, baseline })
    }
}

/// The lines of a file.
pub struct Input<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Its lines.
    pub lines: Vec<Line<'a>>,
}

impl<'a> Input<'a> {
    fn new(text: &'a Text, answers: bool) -> Result<Self> {
        let lines: Vec<&str> = text.lines.iter().map(String::as_str).collect();
        let lines = if answers { answers::parse(&text.name, &lines)? } else { answers::texts(&lines) };
        Ok(Self { name: &text.name, lines })
    }

    /// Lines of two files belong together by their number; where both say what group they are of, it is the same.
    fn check_beside(&self, other: &Input) -> Result<()> {
        let (own, others) = (self.lines.len(), other.lines.len());
        if own != others {
            bail!("{} has {own} lines and {} has {others}; expected as many", self.name, other.name);
        }
        for (i, (line, beside)) in self.lines.iter().zip(&other.lines).enumerate() {
            if let (Some(group), Some(found)) = (&line.group, &beside.group)
                && group != found
            {
                bail!("{}, line {}: group {found}, expected {group} as in {}", other.name, i + 1, self.name);
            }
        }
        Ok(())
    }

    /// The one text of every line.
    ///
    /// # Errors
    /// A line of no answer or several.
    pub fn texts(&self) -> Result<Vec<&str>> {
        let mut texts = Vec::with_capacity(self.lines.len());
        for (i, line) in self.lines.iter().enumerate() {
            match line.answers.as_slice() {
                [text] => texts.push(text.as_ref()),
                several => bail!("{}, line {}: {} answers, expected one", self.name, i + 1, several.len()),
            }
        }
        Ok(texts)
    }

    /// The one label of every line, without white space around it.
    pub fn labels(&self) -> Result<Vec<&str>> {
        let mut texts = self.texts()?;
        for text in &mut texts {
            *text = text.trim();
        }
        Ok(texts)
    }

    /// The one number of every line.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        let number = |(i, label): (usize, &&str)| match label.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(anyhow!("{}, line {}: {label:?} is no number", self.name, i + 1)),
        };
        self.labels()?.iter().enumerate().map(number).collect()
    }

    /// By question, in the order in which they come, whether each answer is right. Lines without a group are a
    /// question each.
    pub fn judgements(&self) -> Result<Vec<Vec<bool>>> {
        let mut questions: Vec<Vec<bool>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (i, line) in self.lines.iter().enumerate() {
            let judgements = line.judgements().with_context(|| format!("{}, line {}", self.name, i + 1))?;
            let place = match &line.group {
                Some(group) => *places.entry(group).or_insert(questions.len()),
                None => questions.len(),
            };
            if place == questions.len() {
                questions.push(Vec::new());
            }
            questions[place].extend(judgements);
        }
        Ok(questions)
    }
}

/// The lines of all files, equally many in each.
pub struct Inputs<'a> {
    /// What is scored.
    pub hypotheses: Input<'a>,
    /// What is expected.
    pub references: Vec<Input<'a>>,
    /// What another system put out.
    pub baseline: Option<Input<'a>>,
}

impl Inputs<'_> {
    /// `hypotheses`, ours or the baseline's, with the references of each line from all files.
    pub fn corpus<'a>(&'a self, hypotheses: &'a Input) -> Result<Corpus<'a>> {
        let of_line =
            |i: usize| self.references.iter().flat_map(move |input| &input.lines[i].answers).map(AsRef::as_ref);
        let references = (0..hypotheses.lines.len()).map(|i| of_line(i).collect()).collect();
        Corpus::new(hypotheses.texts()?, references)
    }

    /// The one file of references that metrics of labels and numbers have.
    pub fn only_references(&self) -> Result<&Input<'_>> {
        match self.references.as_slice() {
            [only] => Ok(only),
            several => refuse!("{} files of references; metrics of labels and numbers take one", several.len()),
        }
    }
}
