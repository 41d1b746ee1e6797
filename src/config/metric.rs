//! What providers are compared by: the words, and what they mean.

use crate::config::suggest::closest;
use std::fmt;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Seconds to the first character, of the reasoning or of the answer.
    Ttft,
    /// Tokens of the input over the time to the first token, a second.
    Prefill,
    /// Tokens of the output over the time from the first token to the end, a second.
    Decode,
    /// Tokens of the output over the whole time, a second.
    Otps,
    /// Tokens of the output in one answer, its reasoning included.
    Otpr,
    /// The share of attempts that gave an answer, from 0 to 1.
    Success,
    Gpqa,
    Aime2024,
    Livecodebench,
    Mmlu,
    Ceval,
    OutputPrice,
    InputPrice,
}

impl Metric {
    pub const ALL: [Metric; 13] = [
        Metric::Ttft,
        Metric::Prefill,
        Metric::Decode,
        Metric::Otps,
        Metric::Otpr,
        Metric::Success,
        Metric::Gpqa,
        Metric::Aime2024,
        Metric::Livecodebench,
        Metric::Mmlu,
        Metric::Ceval,
        Metric::OutputPrice,
        Metric::InputPrice,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Metric::Ttft => "ttft",
            Metric::Prefill => "prefill",
            Metric::Decode => "decode",
            Metric::Otps => "otps",
            Metric::Otpr => "otpr",
            Metric::Success => "success",
            Metric::Gpqa => "gpqa",
            Metric::Aime2024 => "aime2024",
            Metric::Livecodebench => "livecodebench",
            Metric::Mmlu => "mmlu",
            Metric::Ceval => "ceval",
            Metric::OutputPrice => "output_price",
            Metric::InputPrice => "input_price",
        }
    }

    pub fn parse(word: &str) -> Result<Metric, Unknown> {
        find("metric", word, Metric::ALL, Metric::name)
    }

    /// It is one number a request, so that it must be said which number stands for many.
    pub fn needs_stat(self) -> bool {
        matches!(
            self,
            Metric::Ttft | Metric::Prefill | Metric::Decode | Metric::Otps | Metric::Otpr
        )
    }

    /// The smaller, the better: in an order the smallest comes first.
    pub fn ascending(self) -> bool {
        matches!(
            self,
            Metric::Ttft | Metric::OutputPrice | Metric::InputPrice
        )
    }

    /// A result of a benchmark, from 0 to 100: data, not measured here.
    pub fn is_score(self) -> bool {
        matches!(
            self,
            Metric::Gpqa | Metric::Aime2024 | Metric::Livecodebench | Metric::Mmlu | Metric::Ceval
        )
    }

    pub fn is_price(self) -> bool {
        matches!(self, Metric::OutputPrice | Metric::InputPrice)
    }
}

/// Which number stands for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stat {
    Avg,
    Median,
    /// Nine of ten requests do at least so well.
    P90,
    P99,
}

impl Stat {
    pub const ALL: [Stat; 4] = [Stat::Avg, Stat::Median, Stat::P90, Stat::P99];

    pub fn name(self) -> &'static str {
        match self {
            Stat::Avg => "avg",
            Stat::Median => "median",
            Stat::P90 => "p90",
            Stat::P99 => "p99",
        }
    }

    /// `average` is another word for `avg`.
    pub fn parse(word: &str) -> Result<Stat, Unknown> {
        match word {
            "average" => Ok(Stat::Avg),
            _ => find("stat", word, Stat::ALL, Stat::name),
        }
    }

    /// The share of all values, sorted from the smallest, that lies below this stat of `metric`:
    /// so well or better means smaller for a time, and larger for a speed. None: it is no quantile.
    pub fn quantile(self, metric: Metric) -> Option<f64> {
        let reached = match self {
            Stat::Avg => return None,
            Stat::Median => return Some(0.5),
            Stat::P90 => 90.0,
            Stat::P99 => 99.0,
        };
        let below = if metric.ascending() {
            reached
        } else {
            100.0 - reached
        };
        Some(below / 100.0)
    }
}

/// How far back is looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Window {
    FiveMinutes,
    #[default]
    Hour,
    Day,
}

impl Window {
    pub const ALL: [Window; 3] = [Window::FiveMinutes, Window::Hour, Window::Day];

    pub fn name(self) -> &'static str {
        match self {
            Window::FiveMinutes => "5m",
            Window::Hour => "1h",
            Window::Day => "24h",
        }
    }

    pub fn parse(word: &str) -> Result<Window, Unknown> {
        find("window", word, Window::ALL, Window::name)
    }

    pub fn length(self) -> Duration {
        Duration::from_secs(match self {
            Window::FiveMinutes => 5 * 60,
            Window::Hour => 60 * 60,
            Window::Day => 24 * 60 * 60,
        })
    }
}

/// A word that names nothing, with those that do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub what: &'static str,
    pub word: String,
    pub known: Vec<&'static str>,
}

impl Unknown {
    /// The one that was probably meant.
    pub fn meant(&self) -> Option<String> {
        closest(&self.word, self.known.iter().copied())
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unknown { what, word, known } = self;
        write!(f, "unknown {what} {word:?}: ")?;
        if let Some(meant) = self.meant() {
            write!(f, "did you mean `{meant}`? ")?;
        }
        write!(f, "Write one of {}", known.join(", "))
    }
}

impl std::error::Error for Unknown {}

fn find<T: Copy, const N: usize>(
    what: &'static str,
    word: &str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Unknown> {
    let found = all.into_iter().find(|one| name(*one) == word);
    found.ok_or_else(|| Unknown {
        what,
        word: word.to_owned(),
        known: all.into_iter().map(name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_means_what_it_names() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.name()), Ok(metric));
        }
        for stat in Stat::ALL {
            assert_eq!(Stat::parse(stat.name()), Ok(stat));
        }
        for window in Window::ALL {
            assert_eq!(Window::parse(window.name()), Ok(window));
        }
        assert_eq!(Stat::parse("average"), Ok(Stat::Avg));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_are_known() {
        let said = Metric::parse("tftt").unwrap_err().to_string();
        assert!(said.contains("unknown metric \"tftt\""), "{said}");
        assert!(said.contains("did you mean `ttft`?"), "{said}");
        assert!(said.contains("output_price, input_price"), "{said}");
        let said = Stat::parse("p95").unwrap_err().to_string();
        assert!(said.contains("unknown stat \"p95\""), "{said}");
        assert!(said.contains("avg, median, p90, p99"), "{said}");
        let said = Window::parse("5 min\n").unwrap_err().to_string();
        assert!(said.contains("unknown window \"5 min\\n\""), "{said}");
        for word in ["", "TTFT", "Avg", " avg"] {
            assert!(Metric::parse(word).is_err() && Stat::parse(word).is_err());
        }
    }

    #[test]
    fn a_stat_says_what_most_requests_reach() {
        assert_eq!(Stat::P90.quantile(Metric::Ttft), Some(0.9));
        assert_eq!(Stat::P99.quantile(Metric::Ttft), Some(0.99));
        assert_eq!(Stat::P90.quantile(Metric::Otps), Some(0.1));
        assert_eq!(Stat::P99.quantile(Metric::Decode), Some(0.01));
        for metric in Metric::ALL {
            assert_eq!(Stat::Median.quantile(metric), Some(0.5));
            assert_eq!(Stat::Avg.quantile(metric), None);
        }
    }

    #[test]
    fn each_metric_is_one_kind() {
        for metric in Metric::ALL {
            let kinds = [metric.needs_stat(), metric.is_score(), metric.is_price()];
            let kinds = kinds.into_iter().filter(|is| *is).count();
            assert_eq!(kinds, usize::from(metric != Metric::Success), "{metric:?}");
        }
        let ascending = Metric::ALL.into_iter().filter(|it| it.ascending());
        let names: Vec<&str> = ascending.map(Metric::name).collect();
        assert_eq!(names, ["ttft", "output_price", "input_price"]);
    }
}
