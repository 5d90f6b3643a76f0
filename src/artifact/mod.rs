//! What is in a registry and is not an image to unpack: a file that is uploaded as one, and the
//! signatures of an image as they are. Nothing here is verified, and nothing is trusted for it.

mod signatures;
mod upload;

pub use signatures::signatures;
pub use upload::{FileToUpload, Uploaded, UploadedFile, upload};
