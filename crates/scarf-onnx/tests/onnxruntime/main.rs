//! What onnxruntime makes of our files is what we make of the images. One program: each would compile the networks anew.

mod coco;
mod common;
mod conformance;
mod faster_rcnn;
mod models;
mod ssd;
