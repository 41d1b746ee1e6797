//! What the gateway does besides serving: it opens its ports, follows its file, hands over to a
//! successor, and ends.

pub mod certificate;
pub mod drain;
pub mod keeper;
pub mod port;
pub mod recall;
pub mod reload;
pub mod stage;
pub mod stamp;
pub mod traces;
pub mod upgrade;
