//! Backbones beside other programs' own. One program: each would compile the networks anew.

mod common;
mod gluon;
mod imagenet;
mod mobilenet_v1;
mod torchvision;
