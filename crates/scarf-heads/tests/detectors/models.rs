//! Every model by name: it can be built, and is as large as its authors' own.

use crate::common::build;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use scarf_heads::{AnyHead, Head, models};

/// Name, classes without background, parameters, anchors.
///
/// Parameters of torchvision's are its own count, those of GluonCV's and MXNet's the sizes of
/// what their networks train (31,140,020 with the three scales of the first norm, which are held at 1),
/// Faster R-CNN's with its norms frozen (torchvision tells 41,377,906 for six classes with 53,120 in norms);
/// DDN's those of `sagemaker-defect-detection` without the classifier that its ResNet keeps (513,000).
const COUNTS: &[(&str, usize, usize, usize)] = &[
    ("ssd300_vgg16", 90, 35_641_826, 8_732),
    ("ssd300_vgg16", 6, 24_414_218, 8_732),
    ("ssdlite320_mobilenet_v3_large", 90, 3_440_060, 3_234),
    ("ssdlite320_mobilenet_v3_large", 6, 2_275_820, 3_234),
    ("fasterrcnn_resnet50_fpn", 90, 41_755_286, 159_882),
    ("fasterrcnn_resnet50_fpn", 6, 41_324_786, 159_882),
    ("faster-rcnn-resnet50-fpn", 90, 41_755_286, 159_882),
    ("ddn-resnet34", 6, 52_994_463, 30_000),
    ("ssd-300-vgg16-atrous-voc", 20, 26_285_486, 8_732),
    ("ssd-512-mobilenet1.0-voc", 20, 13_781_550, 6_132),
    ("mxnet-ssd-300-vgg16", 20, 26_285_486, 8_732),
    ("mxnet-ssd-512-vgg16", 20, 26_959_300, 24_576),
    ("mxnet-ssd-300-resnet50", 20, 31_140_017, 2_268),
    ("mxnet-ssd-512-resnet50", 20, 31_140_017, 6_132),
];

/// Anchors of those whose parameters nobody tells.
const ANCHORS: &[(&str, usize)] = &[
    ("ssd-300-vgg16-atrous-coco", 8_732),
    ("ssd-512-vgg16-atrous-voc", 24_564),
    ("ssd-512-vgg16-atrous-coco", 24_564),
    ("ssd-512-resnet50-v1-voc", 6_132),
    ("ssd-512-resnet50-v1-coco", 6_132),
    ("ssd-512-mobilenet1.0-coco", 6_132),
    ("ddn-resnet50", 30_000),
    ("ssdlite300_mobilenet_v2_coco", 1_917),
    ("ssd300_mobilenet_v1_coco", 1_917),
];

/// Numbers that training moves.
struct Trained(usize);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += if param.is_require_grad() { param.shape().num_elements() } else { 0 };
    }
}

#[test]
fn models_are_as_large_as_the_references() {
    for &(name, classes, parameters, anchors) in COUNTS {
        let model = models::get(name).unwrap().model;
        let detector = build(&model, classes, &Device::flex().autodiff());
        let mut trained = Trained(0);
        detector.visit(&mut trained);
        assert_eq!(trained.0, parameters, "{name}");
        assert_eq!(
            detector.head.anchors(&detector.maps(model.image()), model.image()).len(),
            anchors,
            "{name}"
        );
    }
    for (name, own) in models::names().map(|name| (name, models::get(name).unwrap())) {
        let counted = COUNTS.iter().find(|count| count.0 == name && count.1 == own.classes);
        assert_eq!(own.published, counted.map(|count| count.2).filter(|_| own.published.is_some()), "{name}");
    }
}

/// DDN part by part: its MFN (24,340,264 with the ResNet's classifier of 513,000), its proposals, its second stage.
#[test]
fn ddn_has_the_references_parts() {
    let trained = |visit: &dyn Fn(&mut Trained)| {
        let mut trained = Trained(0);
        visit(&mut trained);
        trained.0
    };
    let detector = build(&models::get("ddn-resnet34").unwrap().model, 6, &Device::flex().autodiff());
    let AnyHead::FasterRcnn(head) = &detector.head else { panic!("DDN's head is Faster R-CNN's") };
    let mfn = trained(&|all| {
        detector.backbone.visit(all);
        detector.neck.visit(all);
    });
    assert_eq!(mfn + 513_000, 24_340_264);
    assert_eq!(trained(&|all| head.rpn.visit(all)), 2_390_588);
    assert_eq!(trained(&|all| head.roi.visit(all)), 26_776_611);
}

#[test]
fn models_have_the_references_anchors() {
    // Building takes seconds: those that are counted above have had theirs compared.
    for name in models::names().filter(|name| COUNTS.iter().all(|count| count.0 != *name)) {
        let model = models::get(name).unwrap().model;
        let expected = ANCHORS.iter().find(|(known, _)| *known == name).map(|(_, anchors)| *anchors);
        let detector = build(&model, 1, &Device::flex());
        let anchors = detector.head.anchors(&detector.maps(model.image()), model.image());
        assert_eq!(Some(anchors.len()), expected, "{name}");
    }
}

#[test]
fn images_too_small_for_the_extra_layers_are_refused() {
    let mut model = models::get("ssd300_vgg16").unwrap().model;
    model.size = 128;
    let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(0);
    let error = model.init(6, &Device::flex(), &mut rng).unwrap_err().to_string();
    assert!(error.contains("`model.size` is 128; an extra layer's kernel does not fit"), "{error}");
}
