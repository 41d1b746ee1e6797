//! What the vendors' codes and phrases mean: what the catalogue says of one of them, then one table
//! for all, each read from the top; the first match wins.

use super::said::Said;
use crate::catalog::{ErrorRule, Means, catalog};
use crate::failover::Kind;

/// The meaning of an error. `status` is the provider's own or, for an error inside a 200, the one
/// it states, else 200.
pub fn kind(provider: &str, status: u16, said: &Said) -> Kind {
    let own = catalog().get(provider).map(|known| known.errors.as_slice());
    let own = own.unwrap_or_default().iter();
    if let Some(rule) = own.clone().find(|rule| is_meant(rule, status, said)) {
        return kind_of(rule.means);
    }
    let rule = RULES.iter().find(|rule| rule.fits(status, said));
    rule.map_or_else(|| by_status(status), |rule| rule.kind)
}

fn is_meant(rule: &ErrorRule, status: u16, said: &Said) -> bool {
    let of_code = || rule.codes.iter().any(|pattern| has_code(said, pattern));
    let of_phrase = || rule.phrases.iter().any(|phrase| said.text.contains(phrase));
    (rule.status.is_empty() || rule.status.contains(&status))
        && (rule.codes.is_empty() || of_code())
        && (rule.phrases.is_empty() || of_phrase())
}

fn kind_of(means: Means) -> Kind {
    match means {
        Means::Rate => RateLimited,
        Means::Overload => Overloaded,
        Means::Quota => Quota,
        Means::Auth => Credentials,
        Means::Context => ContextLength,
        Means::ContentFilter => ContentFilter,
        Means::BadRequest => Rejected,
        Means::Failure => ServerError,
    }
}

/// `*` at the end of a pattern stands for anything.
fn has_code(said: &Said, pattern: &str) -> bool {
    said.codes
        .iter()
        .any(|code| match pattern.strip_suffix('*') {
            Some(start) => code.starts_with(start),
            None => code == pattern,
        })
}

struct Rule {
    /// Empty: any.
    statuses: &'static [u16],
    says: Says,
    kind: Kind,
}

enum Says {
    Anything,
    /// One of these codes, in lower case; a `*` at the end stands for anything.
    Code(&'static [&'static str]),
    /// One of these in a sentence, in lower case.
    Phrase(&'static [&'static str]),
    /// The same, and in an error relayed from further up as well.
    RelayedPhrase(&'static [&'static str]),
    /// One of these as a word of its own.
    Word(&'static [&'static str]),
}

const ANY: &[u16] = &[];
/// Where a request is refused for what it is; 200 is an error inside an answer.
const REFUSED: &[u16] = &[200, 400, 403, 413, 422];
/// Some servers call a request that is too long their own failure.
const TOO_LONG: &[u16] = &[200, 400, 413, 422, 500];
const BUSY: &[u16] = &[200, 429, 500, 502, 503, 504];
/// Where a bill that is not paid shows, besides 402.
const UNPAID: &[u16] = &[200, 400, 403, 429];

const fn rule(statuses: &'static [u16], says: Says, kind: Kind) -> Rule {
    Rule {
        statuses,
        says,
        kind,
    }
}

use Kind::{
    ContentFilter, ContextLength, Credentials, Overloaded, Quota, RateLimited, Rejected,
    ServerError,
};
use Says::{Anything, Code, Phrase, RelayedPhrase, Word};

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // These two statuses say it all.
    rule(&[401], Anything, Credentials),
    rule(&[402], Anything, Quota),

    rule(ANY, Code(&[
        "content_filter", "content_policy*", "responsibleaipolicyviolation", "flagged_input",
        "data_inspection_failed", "datainspectionfailed", "sensitivecontentdetected*",
        "inputtextsensitivecontentdetected*", "outputtextsensitivecontentdetected*", "moderation*",
    ]), ContentFilter),
    // Before all that looks for a key or a permission: xAI's moderation mentions both.
    rule(REFUSED, Phrase(&[
        "content exists risk", "content management policy", "content policy",
        "violates usage guidelines", "inappropriate content", "requires moderation",
        "flagged by", "flagged for", "was flagged", "不安全或敏感",
    ]), ContentFilter),

    rule(ANY, Code(&[
        "context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded",
        "exceed_context_size_error", "tokens_limit_reached",
    ]), ContextLength),
    rule(TOO_LONG, RelayedPhrase(&[
        "context length", "context window", "context size", "context limit",
        "exceeds the context", "prompt is too long", "prompt too long", "input is too long",
        "too many tokens", "maximum prompt length", "input token count", "max_seq_len",
        "range of input length should be", "`inputs` tokens + `max_new_tokens` must be",
    ]), ContextLength),

    rule(ANY, Code(&[
        "insufficient_quota", "exceeded_current_quota*", "insufficient_balance",
        "insufficient_credits", "arrearage", "accountoverdueerror", "billing_hard_limit_reached",
        "billing_not_active", "billing_error", "enforced_spend_limit_reached",
        "allocationquota.freetieronly",
    ]), Quota),
    rule(ANY, Code(&[
        "overloaded_error", "engine_overloaded*", "serveroverloaded", "server_overloaded",
        "overloaded", "model_overloaded", "modelnotreadyexception", "capacity_exhausted",
        "nocapacity",
    ]), Overloaded),
    // Before the phrases on money: Gemini's limit a minute speaks of plan and billing.
    rule(ANY, Code(&[
        "rate_limit*", "ratelimit*", "too_many_requests*", "throttling*", "resource_exhausted",
        "limit_requests", "limit_burst_rate", "token_quota_exceeded", "request_quota_exceeded",
    ]), RateLimited),
    rule(UNPAID, Phrase(&[
        "credit balance is too low", "insufficient balance", "balance is insufficient",
        "balance is not enough", "insufficient credits", "exceeded your current quota",
        "used all available credits", "have any credits", "key limit exceeded", "overdue",
        "arrears", "spending limit", "余额不足", "欠费",
    ]), Quota),
    rule(ANY, Code(&[
        "invalid_api_key", "invalidapikey", "api_key_invalid", "incorrect_api_key*",
        "authentication_error", "authenticationerror", "invalid_authentication_error",
        "unauthenticated", "unauthorized", "permission_error", "permission_denied",
        "accessdenied*", "unrecognizedclientexception", "expiredtokenexception",
        "invalidsignatureexception",
    ]), Credentials),
    rule(&[200, 400], Phrase(&[
        "api key not valid", "incorrect api key", "invalid api key",
    ]), Credentials),
    // A 403 is ours only where it names what is ours; else it is the caller's.
    rule(&[403], Phrase(&["balance", "billing", "余额"]), Quota),
    rule(&[403], Phrase(&[
        "api_key", "apikey", "permission", "unauthorized", "not authorized", "权限", "密钥",
    ]), Credentials),
    rule(&[403], Word(&["key", "keys"]), Credentials),

    rule(BUSY, Phrase(&[
        "overloaded", "too busy", "server is busy", "at capacity", "no capacity",
    ]), Overloaded),
    rule(&[200], Phrase(&[
        "rate limit", "too many requests", "tpm limit", "rpm limit",
    ]), RateLimited),
    // Inside a 200 there may be nothing else to tell whose fault it is.
    rule(&[200], Code(&[
        "invalid_request_error", "invalid_argument", "invalid_parameter*", "invalidparameter*",
        "badrequesterror", "not_found_error", "model_not_found",
    ]), Rejected),
];

fn by_status(status: u16) -> Kind {
    match status {
        429 => RateLimited,
        529 => Overloaded,
        // A redirect, or an error that does not say which: the provider's fault, not the caller's.
        0..=399 | 408 | 424 | 425 | 500.. => ServerError,
        _ => Rejected,
    }
}

impl Rule {
    fn fits(&self, status: u16, said: &Said) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&status)) && self.says.fits(said)
    }
}

impl Says {
    fn fits(&self, said: &Said) -> bool {
        let within = |text: &str, phrases: &[&str]| phrases.iter().any(|p| text.contains(p));
        match self {
            Anything => true,
            Code(patterns) => patterns.iter().any(|pattern| has_code(said, pattern)),
            Phrase(phrases) => within(&said.text, phrases),
            RelayedPhrase(phrases) => within(&said.text, phrases) || within(&said.relayed, phrases),
            Word(words) => said
                .text
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| words.contains(&word)),
        }
    }
}
