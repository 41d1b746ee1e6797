//! Why a call ended as it did: one closed vocabulary for answers, logs and metrics.

use std::fmt;

/// Whose fault it is, and what it was. The prefix names the party: `caller`, `policy`, `provider`,
/// `gateway`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    CallerBadRequest,
    CallerBadJson,
    CallerBadModel,
    CallerUnknownModel,
    CallerNotFound,
    CallerMethod,
    CallerTooLarge,
    CallerUnsupportedMedia,
    CallerTimeout,
    CallerDeadline,
    CallerCancelled,
    PolicyKey,
    PolicyModel,
    PolicyProvider,
    PolicyPreferences,
    PolicyPriceCap,
    PolicyRegion,
    PolicyData,
    PolicyCapability,
    PolicyQuality,
    PolicyBudget,
    ProviderUnreachable,
    ProviderReset,
    ProviderTimeout,
    ProviderFirstToken,
    ProviderIdle,
    ProviderStall,
    ProviderDeadline,
    ProviderTruncated,
    ProviderRateLimited,
    ProviderOverloaded,
    ProviderError,
    ProviderAuth,
    ProviderQuota,
    ProviderContextLength,
    ProviderContentFilter,
    ProviderRejected,
    ProviderBadResponse,
    ProviderEmpty,
    GatewayNoTarget,
    GatewayOverloaded,
    GatewayStopped,
    GatewayInternal,
}

/// What each reason says when nothing more precise is known.
struct Facts {
    label: &'static str,
    status: u16,
    /// OpenAI's `error.type`.
    kind: &'static str,
    /// OpenAI's `error.code`.
    code: Option<&'static str>,
}

const fn facts(
    label: &'static str,
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
) -> Facts {
    Facts {
        label,
        status,
        kind,
        code,
    }
}

/// A rule of the operator's that leaves nobody.
const fn policy(label: &'static str, status: u16) -> Facts {
    facts(label, status, "policy_error", Some(label))
}

/// A provider that took too long, in one way or another.
const fn late(label: &'static str) -> Facts {
    facts(label, 504, "timeout_error", Some("provider_timeout"))
}

impl Reason {
    pub const ALL: [Reason; 43] = [
        Reason::CallerBadRequest,
        Reason::CallerBadJson,
        Reason::CallerBadModel,
        Reason::CallerUnknownModel,
        Reason::CallerNotFound,
        Reason::CallerMethod,
        Reason::CallerTooLarge,
        Reason::CallerUnsupportedMedia,
        Reason::CallerTimeout,
        Reason::CallerDeadline,
        Reason::CallerCancelled,
        Reason::PolicyKey,
        Reason::PolicyModel,
        Reason::PolicyProvider,
        Reason::PolicyPreferences,
        Reason::PolicyPriceCap,
        Reason::PolicyRegion,
        Reason::PolicyData,
        Reason::PolicyCapability,
        Reason::PolicyQuality,
        Reason::PolicyBudget,
        Reason::ProviderUnreachable,
        Reason::ProviderReset,
        Reason::ProviderTimeout,
        Reason::ProviderFirstToken,
        Reason::ProviderIdle,
        Reason::ProviderStall,
        Reason::ProviderDeadline,
        Reason::ProviderTruncated,
        Reason::ProviderRateLimited,
        Reason::ProviderOverloaded,
        Reason::ProviderError,
        Reason::ProviderAuth,
        Reason::ProviderQuota,
        Reason::ProviderContextLength,
        Reason::ProviderContentFilter,
        Reason::ProviderRejected,
        Reason::ProviderBadResponse,
        Reason::ProviderEmpty,
        Reason::GatewayNoTarget,
        Reason::GatewayOverloaded,
        Reason::GatewayStopped,
        Reason::GatewayInternal,
    ];

    fn facts(self) -> Facts {
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        match self {
            Reason::CallerBadRequest => facts("caller_bad_request", 400, INVALID, None),
            Reason::CallerBadJson => facts("caller_bad_json", 400, INVALID, Some("invalid_json")),
            Reason::CallerBadModel => {
                facts("caller_bad_model", 400, INVALID, Some("invalid_model"))
            }
            Reason::CallerUnknownModel => facts(
                "caller_unknown_model",
                404,
                INVALID,
                Some("model_not_found"),
            ),
            Reason::CallerNotFound => facts("caller_not_found", 404, INVALID, Some("not_found")),
            Reason::CallerMethod => {
                facts("caller_method", 405, INVALID, Some("method_not_allowed"))
            }
            Reason::CallerTooLarge => {
                facts("caller_too_large", 413, INVALID, Some("request_too_large"))
            }
            Reason::CallerUnsupportedMedia => facts(
                "caller_unsupported_media",
                415,
                INVALID,
                Some("unsupported_media_type"),
            ),
            Reason::CallerTimeout => facts("caller_timeout", 408, INVALID, Some("request_timeout")),
            Reason::CallerDeadline => facts(
                "caller_deadline",
                504,
                "timeout_error",
                Some("deadline_exceeded"),
            ),
            Reason::CallerCancelled => facts("caller_cancelled", 499, INVALID, Some("cancelled")),
            Reason::PolicyKey => facts(
                "policy_key",
                401,
                "authentication_error",
                Some("invalid_api_key"),
            ),
            Reason::PolicyModel => facts(
                "policy_model",
                403,
                "permission_error",
                Some("model_not_allowed"),
            ),
            Reason::PolicyProvider => policy("policy_provider", 503),
            // The caller asked for what nobody here is, and can ask for less.
            Reason::PolicyPreferences => facts(
                "policy_preferences",
                404,
                INVALID,
                Some("no_allowed_provider"),
            ),
            Reason::PolicyPriceCap => policy("policy_price_cap", 503),
            Reason::PolicyRegion => policy("policy_region", 503),
            Reason::PolicyData => policy("policy_data", 503),
            Reason::PolicyCapability => facts(
                "policy_capability",
                400,
                INVALID,
                Some("unsupported_parameter"),
            ),
            Reason::PolicyQuality => policy("policy_quality", 503),
            // OpenAI's word for it, but not its 429: whoever takes that for a matter of seconds
            // would come back all month.
            Reason::PolicyBudget => facts(
                "policy_budget",
                402,
                "insufficient_quota",
                Some("insufficient_quota"),
            ),
            Reason::ProviderUnreachable => facts(
                "provider_unreachable",
                502,
                SERVER,
                Some("provider_unreachable"),
            ),
            Reason::ProviderReset => facts("provider_reset", 502, SERVER, Some("provider_reset")),
            Reason::ProviderTimeout => late("provider_timeout"),
            Reason::ProviderFirstToken => late("provider_first_token_timeout"),
            Reason::ProviderIdle => late("provider_idle_timeout"),
            Reason::ProviderStall => late("provider_stall_timeout"),
            Reason::ProviderDeadline => late("provider_deadline"),
            Reason::ProviderTruncated => facts(
                "provider_truncated",
                502,
                SERVER,
                Some("provider_truncated"),
            ),
            Reason::ProviderRateLimited => facts(
                "provider_rate_limited",
                429,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
            ),
            Reason::ProviderOverloaded => facts(
                "provider_overloaded",
                503,
                SERVER,
                Some("provider_overloaded"),
            ),
            Reason::ProviderError => facts("provider_error", 502, SERVER, Some("provider_error")),
            Reason::ProviderAuth => facts("provider_auth", 502, SERVER, Some("provider_auth")),
            Reason::ProviderQuota => facts("provider_quota", 502, SERVER, Some("provider_quota")),
            Reason::ProviderContextLength => facts(
                "provider_context_length",
                400,
                INVALID,
                Some("context_length_exceeded"),
            ),
            Reason::ProviderContentFilter => facts(
                "provider_content_filter",
                400,
                INVALID,
                Some("content_policy_violation"),
            ),
            Reason::ProviderRejected => {
                facts("provider_rejected", 400, INVALID, Some("provider_rejected"))
            }
            Reason::ProviderBadResponse => facts(
                "provider_bad_response",
                502,
                SERVER,
                Some("provider_bad_response"),
            ),
            Reason::ProviderEmpty => facts("provider_empty", 502, SERVER, Some("provider_empty")),
            Reason::GatewayNoTarget => facts("gateway_no_target", 503, SERVER, Some("no_target")),
            Reason::GatewayOverloaded => facts(
                "gateway_overloaded",
                503,
                SERVER,
                Some("gateway_overloaded"),
            ),
            Reason::GatewayStopped => {
                facts("gateway_stopped", 503, SERVER, Some("gateway_stopped"))
            }
            Reason::GatewayInternal => {
                facts("gateway_internal", 500, SERVER, Some("gateway_internal"))
            }
        }
    }

    /// The label in answers, logs and metrics.
    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// The status a caller gets when the reason alone decides it.
    pub fn status(self) -> u16 {
        self.facts().status
    }

    /// OpenAI's `error.type`.
    pub fn kind(self) -> &'static str {
        self.facts().kind
    }

    /// OpenAI's `error.code`.
    pub fn code(self) -> Option<&'static str> {
        self.facts().code
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// An end that a caller is told about: a public message, and beside it a cause for the log alone.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    /// Says what happened and what to do next; goes to the caller.
    pub message: String,
    /// OpenAI's `error.param`, where one field is to blame.
    pub param: Option<&'static str>,
    /// Goes to the log alone.
    pub cause: Option<String>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Failure {
            reason,
            message: message.into(),
            param: None,
            cause: None,
        }
    }

    pub fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// A caller's text in a message: short, and on one line.
pub fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unique_and_name_a_party() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let label = reason.label();
            assert!(seen.insert(label), "{label} twice");
            let party = label.split('_').next().unwrap();
            assert!(
                ["caller", "policy", "provider", "gateway"].contains(&party),
                "{label}"
            );
        }
    }
}
