//! Heads and whole detectors beside other programs' own. One program: each would compile the networks anew.

mod cascade;
mod coco;
mod common;
mod faster_rcnn;
mod formula;
mod gluoncv_models;
mod models;
mod multibox_mxnet;
mod mxnet_priors;
mod torchvision;
mod torchvision_models;
