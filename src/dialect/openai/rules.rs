//! What the vendors' codes and phrases mean: one table, read from the top, the first match wins.

use super::said::Said;
use crate::failover::Kind;

/// The meaning of an error. `status` is the provider's own or, for an error inside a 200, the one
/// it states, else 200.
pub fn kind(provider: &str, status: u16, said: &Said) -> Kind {
    let rule = RULES.iter().find(|rule| rule.fits(provider, status, said));
    rule.map_or_else(|| by_status(status), |rule| rule.kind)
}

struct Rule {
    /// Catalogue names; empty: everyone.
    providers: &'static [&'static str],
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

const EVERYONE: &[&str] = &[];
const ANY: &[u16] = &[];
/// Where a request is refused for what it is; 200 is an error inside an answer.
const REFUSED: &[u16] = &[200, 400, 403, 413, 422];
/// Some servers call a request that is too long their own failure.
const TOO_LONG: &[u16] = &[200, 400, 413, 422, 500];
const BUSY: &[u16] = &[200, 429, 500, 502, 503, 504];
/// Where a bill that is not paid shows, besides 402.
const UNPAID: &[u16] = &[200, 400, 403, 429];

const fn rule(
    providers: &'static [&'static str],
    statuses: &'static [u16],
    says: Says,
    kind: Kind,
) -> Rule {
    Rule {
        providers,
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
    // One vendor's own use of a status or of a word that means something else elsewhere.
    rule(&["together"], &[403], Anything, ContextLength),
    rule(&["groq"], &[498], Anything, Overloaded),
    // The account is suspended.
    rule(&["fireworks"], &[412], Anything, Quota),
    // Tokens a minute, where OpenAI means money.
    rule(&["alibaba"], ANY, Code(&["insufficient_quota"]), RateLimited),
    // The free allowance is used up, or the spending limit that the account set itself.
    rule(&["volcengine"], ANY, Code(&["quotaexceeded", "setlimitexceeded"]), Quota),
    rule(&["zhipu"], ANY, Code(&["1113", "1308", "1310"]), Quota),
    rule(&["zhipu"], ANY, Code(&["1302", "1303", "1305"]), RateLimited),
    rule(&["zhipu"], ANY, Code(&["1312"]), Overloaded),
    rule(&["zhipu"], ANY, Code(&["1301"]), ContentFilter),
    rule(&["zhipu"], ANY, Code(&["1261"]), ContextLength),
    rule(&["minimax"], ANY, Code(&["1002", "1039", "1041"]), RateLimited),
    rule(&["minimax"], ANY, Code(&["1004", "2049"]), Credentials),
    rule(&["minimax"], ANY, Code(&["1008", "2056"]), Quota),
    rule(&["minimax"], ANY, Code(&["1026", "1027"]), ContentFilter),
    rule(&["minimax"], ANY, Code(&["2013"]), Rejected),
    rule(&["siliconflow"], ANY, Code(&["50505", "50603"]), Overloaded),
    rule(&["siliconflow"], ANY, Code(&["50602"]), RateLimited),
    // A 400, but a matter of capacity.
    rule(&["bedrock"], ANY, Code(&["servicequotaexceededexception"]), RateLimited),

    // These two statuses say it all.
    rule(EVERYONE, &[401], Anything, Credentials),
    rule(EVERYONE, &[402], Anything, Quota),

    rule(EVERYONE, ANY, Code(&[
        "content_filter", "content_policy*", "responsibleaipolicyviolation", "flagged_input",
        "data_inspection_failed", "datainspectionfailed", "sensitivecontentdetected*",
        "inputtextsensitivecontentdetected*", "outputtextsensitivecontentdetected*", "moderation*",
    ]), ContentFilter),
    // Before all that looks for a key or a permission: xAI's moderation mentions both.
    rule(EVERYONE, REFUSED, Phrase(&[
        "content exists risk", "content management policy", "content policy",
        "violates usage guidelines", "inappropriate content", "requires moderation",
        "flagged by", "flagged for", "was flagged", "不安全或敏感",
    ]), ContentFilter),

    rule(EVERYONE, ANY, Code(&[
        "context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded",
        "exceed_context_size_error", "tokens_limit_reached",
    ]), ContextLength),
    rule(EVERYONE, TOO_LONG, RelayedPhrase(&[
        "context length", "context window", "context size", "context limit",
        "exceeds the context", "prompt is too long", "prompt too long", "input is too long",
        "too many tokens", "maximum prompt length", "input token count", "max_seq_len",
        "range of input length should be", "`inputs` tokens + `max_new_tokens` must be",
    ]), ContextLength),

    rule(EVERYONE, ANY, Code(&[
        "insufficient_quota", "exceeded_current_quota*", "insufficient_balance",
        "insufficient_credits", "arrearage", "accountoverdueerror", "billing_hard_limit_reached",
        "billing_not_active", "billing_error", "enforced_spend_limit_reached",
        "allocationquota.freetieronly",
    ]), Quota),
    rule(EVERYONE, ANY, Code(&[
        "overloaded_error", "engine_overloaded*", "serveroverloaded", "server_overloaded",
        "overloaded", "model_overloaded", "modelnotreadyexception", "capacity_exhausted",
        "nocapacity",
    ]), Overloaded),
    // Before the phrases on money: Gemini's limit a minute speaks of plan and billing.
    rule(EVERYONE, ANY, Code(&[
        "rate_limit*", "ratelimit*", "too_many_requests*", "throttling*", "resource_exhausted",
        "limit_requests", "limit_burst_rate", "token_quota_exceeded", "request_quota_exceeded",
    ]), RateLimited),
    rule(EVERYONE, UNPAID, Phrase(&[
        "credit balance is too low", "insufficient balance", "balance is insufficient",
        "balance is not enough", "insufficient credits", "exceeded your current quota",
        "used all available credits", "have any credits", "key limit exceeded", "overdue",
        "arrears", "spending limit", "余额不足", "欠费",
    ]), Quota),
    rule(EVERYONE, ANY, Code(&[
        "invalid_api_key", "invalidapikey", "api_key_invalid", "incorrect_api_key*",
        "authentication_error", "authenticationerror", "invalid_authentication_error",
        "unauthenticated", "unauthorized", "permission_error", "permission_denied",
        "accessdenied*", "unrecognizedclientexception", "expiredtokenexception",
        "invalidsignatureexception",
    ]), Credentials),
    rule(EVERYONE, &[200, 400], Phrase(&[
        "api key not valid", "incorrect api key", "invalid api key",
    ]), Credentials),
    // A 403 is ours only where it names what is ours; else it is the caller's.
    rule(EVERYONE, &[403], Phrase(&["balance", "billing", "余额"]), Quota),
    rule(EVERYONE, &[403], Phrase(&[
        "api_key", "apikey", "permission", "unauthorized", "not authorized", "权限", "密钥",
    ]), Credentials),
    rule(EVERYONE, &[403], Word(&["key", "keys"]), Credentials),

    rule(EVERYONE, BUSY, Phrase(&[
        "overloaded", "too busy", "server is busy", "at capacity", "no capacity",
    ]), Overloaded),
    rule(EVERYONE, &[200], Phrase(&[
        "rate limit", "too many requests", "tpm limit", "rpm limit",
    ]), RateLimited),
    // Inside a 200 there may be nothing else to tell whose fault it is.
    rule(EVERYONE, &[200], Code(&[
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
    fn fits(&self, provider: &str, status: u16, said: &Said) -> bool {
        (self.providers.is_empty() || self.providers.contains(&provider))
            && (self.statuses.is_empty() || self.statuses.contains(&status))
            && self.says.fits(said)
    }
}

impl Says {
    fn fits(&self, said: &Said) -> bool {
        let within = |text: &str, phrases: &[&str]| phrases.iter().any(|p| text.contains(p));
        match self {
            Anything => true,
            Code(patterns) => said.codes.iter().any(|code| {
                patterns
                    .iter()
                    .any(|pattern| match pattern.strip_suffix('*') {
                        Some(start) => code.starts_with(start),
                        None => code == pattern,
                    })
            }),
            Phrase(phrases) => within(&said.text, phrases),
            RelayedPhrase(phrases) => within(&said.text, phrases) || within(&said.relayed, phrases),
            Word(words) => said
                .text
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| words.contains(&word)),
        }
    }
}
