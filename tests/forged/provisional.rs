// A proof of one's own, from a real one. It has to compile beside the type, and nowhere else.
use luet_cosign::policy::Provisional;
const _: fn(Provisional) -> Provisional = |real| Provisional { pin: None, ..real };
