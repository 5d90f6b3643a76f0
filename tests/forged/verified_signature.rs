// A proof of one's own, from a real one. It has to compile beside the type, and nowhere else.
use luet_cosign::trust::VerifiedSignature;
const _: fn(VerifiedSignature) -> VerifiedSignature = |real| VerifiedSignature { authority: "me".to_owned(), ..real };
