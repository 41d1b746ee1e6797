//! Values of the grammar that are one word.

use crate::config::decode::text;
use crate::config::file::{Access, Resume};
use crate::config::units::Time;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
pub struct SocketAddress(pub SocketAddr);

/// A word or a status of `retry.for`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Connect,
    Timeout,
    Reset,
    RateLimited,
    ServerError,
    Stream,
    ContentFilter,
    Status(u16),
}

/// A time, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    Off,
    Every(Time),
}

const CAUSES: [&str; 8] = [
    "connect",
    "timeout",
    "reset",
    "429",
    "5xx",
    "stream",
    "content_filter",
    "400 to 599",
];

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "connect" => Cause::Connect,
            "timeout" => Cause::Timeout,
            "reset" => Cause::Reset,
            "429" => Cause::RateLimited,
            "5xx" => Cause::ServerError,
            "stream" => Cause::Stream,
            "content_filter" => Cause::ContentFilter,
            word => match word.parse() {
                Ok(status @ 400..=599) => Cause::Status(status),
                _ => return Err(D::Error::unknown_variant(word, &CAUSES)),
            },
        })
    }
}

impl<'de> Deserialize<'de> for SocketAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, |word| {
            word.parse().map(SocketAddress).map_err(|_| {
                "is not an address with a port; write one such as `127.0.0.1:8080`, \
                 `0.0.0.0:8080` or `[::1]:8080`"
                    .to_owned()
            })
        })
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if is_off(&word) {
            Ok(Access::Off)
        } else {
            Err(D::Error::unknown_variant(&word, &["off"]))
        }
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if is_off(&word) {
            return Ok(Pause::Off);
        }
        // Without a digit it is a word, perhaps misspelt, and no attempt at a time.
        if !word.contains(|letter: char| letter.is_ascii_digit()) {
            return Err(D::Error::unknown_variant(
                &word,
                &["off", "a time such as 15s"],
            ));
        }
        Time::parse(&word)
            .map(Pause::Every)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Resume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "prefill" => Ok(Resume::Prefill),
            "auto" => Ok(Resume::Auto),
            word if is_off(word) => Ok(Resume::Off),
            word => Err(D::Error::unknown_variant(word, &["prefill", "auto", "off"])),
        }
    }
}

/// YAML's older readers take `off` for `false`, and some writers write it so.
pub fn is_off(word: &str) -> bool {
    word == "off" || word == "false"
}
