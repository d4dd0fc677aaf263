//! The kernels under autodiff: what they keep, and their gradients.

use std::sync::Arc;

use burn::backend::TensorMetadata;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use burn::tensor::ops::MaxPoolOptions;

use super::{Kernels, run};
use crate::cpu::linear::Layer;
use crate::cpu::shape::{PoolShape, Shape};
use crate::geometry::{Activation, ConvGeometry};
use crate::region::{Region, RoiAlign};

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn scarf_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(x.primitive(), weight.primitive(), &geometry);
        let prepared = Conv.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let kept_x = weight.is_tracked().then(|| prep.checkpoint(&x));
                let kept_weight = x.is_tracked().then(|| prep.checkpoint(&weight));
                let output = run::conv2d(
                    x.into_primitive(),
                    weight.into_primitive(),
                    [None, None],
                    &shape,
                    activation,
                );
                prep.finish(ConvState::new(kept_x, kept_weight, &output, shape, activation), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::conv2d(
                x.into_primitive(),
                weight.into_primitive(),
                [None, None],
                &shape,
                activation,
            )),
        }
    }

    fn scarf_conv2d_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(x.primitive(), weight.primitive(), &geometry);
        let nodes = [x.node(), weight.node(), bias.node()];
        match Conv.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept_x = weight.is_tracked().then(|| prep.checkpoint(&x));
                let kept_weight = x.is_tracked().then(|| prep.checkpoint(&weight));
                let bias = [None, Some(bias.into_primitive())];
                let output =
                    run::conv2d(x.into_primitive(), weight.into_primitive(), bias, &shape, activation);
                prep.finish(ConvState::new(kept_x, kept_weight, &output, shape, activation), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::conv2d(
                x.into_primitive(),
                weight.into_primitive(),
                [None, Some(bias.into_primitive())],
                &shape,
                activation,
            )),
        }
    }

    fn scarf_conv2d_scaled(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        geometry: ConvGeometry,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let shape = run::conv_shape(x.primitive(), weight.primitive(), &geometry);
        let nodes = [x.node(), weight.node(), scale.node(), shift.node()];
        match ScaledConv.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let learns = weight.is_tracked() || scale.is_tracked();
                let kept_x = learns.then(|| prep.checkpoint(&x));
                let kept = (kept_x, [prep.checkpoint(&weight), prep.checkpoint(&scale)]);
                let after = [Some(scale.into_primitive()), Some(shift.into_primitive())];
                let output =
                    run::conv2d(x.into_primitive(), weight.into_primitive(), after, &shape, activation);
                prep.finish((kept, kept_output(&output, activation), shape, activation), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::conv2d(
                x.into_primitive(),
                weight.into_primitive(),
                [Some(scale.into_primitive()), Some(shift.into_primitive())],
                &shape,
                activation,
            )),
        }
    }

    fn scarf_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let layer = run::layer(x.primitive(), weight.primitive());
        match Linear.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept_x = weight.is_tracked().then(|| prep.checkpoint(&x));
                let kept_weight = x.is_tracked().then(|| prep.checkpoint(&weight));
                let output = run::linear(x.into_primitive(), weight.into_primitive(), layer);
                prep.finish(([kept_x, kept_weight], layer), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(run::linear(x.into_primitive(), weight.into_primitive(), layer))
            }
        }
    }

    fn scarf_batch_norm_train(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node()];
        match Norm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = [prep.checkpoint(&x), prep.checkpoint(&gamma), prep.checkpoint(&beta)];
                let (output, mean, variance) = run::batch_norm_train(
                    x.into_primitive(),
                    gamma.into_primitive(),
                    beta.into_primitive(),
                    epsilon,
                    activation,
                );
                let state = run::Kept { mean: mean.clone(), variance: variance.clone(), epsilon, activation };
                let output = prep.finish((kept, state), output);
                (output, Self::from_inner(mean), Self::from_inner(variance))
            }
            OpsKind::UnTracked(prep) => {
                let (output, mean, variance) = run::batch_norm_train(
                    x.into_primitive(),
                    gamma.into_primitive(),
                    beta.into_primitive(),
                    epsilon,
                    activation,
                );
                (prep.finish(output), Self::from_inner(mean), Self::from_inner(variance))
            }
        }
    }

    fn scarf_scale_shift(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), scale.node(), shift.node()];
        match ScaleShift.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = [prep.checkpoint(&x), prep.checkpoint(&scale), prep.checkpoint(&shift)];
                let output = run::scale_shift(
                    x.into_primitive(),
                    scale.into_primitive(),
                    shift.into_primitive(),
                    activation,
                );
                prep.finish((kept, activation), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::scale_shift(
                x.into_primitive(),
                scale.into_primitive(),
                shift.into_primitive(),
                activation,
            )),
        }
    }

    fn scarf_add(x: FloatTensor<Self>, y: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        match Sum.prepare::<C>([x.node(), y.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = run::add(x.into_primitive(), y.into_primitive(), activation);
                prep.finish((kept_output(&output, activation), activation), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(run::add(x.into_primitive(), y.into_primitive(), activation))
            }
        }
    }

    fn scarf_max_pool2d(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let shape = run::pool_shape(x.primitive(), &options);
        match Pool.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = prep.checkpoint(&x);
                let output = run::max_pool2d(x.into_primitive(), &shape);
                prep.finish((kept, output.clone(), shape), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::max_pool2d(x.into_primitive(), &shape)),
        }
    }

    fn scarf_roi_align(x: FloatTensor<Self>, regions: Arc<[Region]>, options: RoiAlign) -> FloatTensor<Self> {
        match Regions.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let dims = x.primitive().shape().dims();
                let output = run::roi_align(x.into_primitive(), &regions, &options);
                prep.finish((dims, regions, options), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(run::roi_align(x.into_primitive(), &regions, &options)),
        }
    }
}

/// What the gradient of an activation is made of: what came out, if there is one.
fn kept_output(output: &FlexTensor, activation: Activation) -> Option<FlexTensor> {
    (activation != Activation::None).then(|| output.clone())
}

/// A convolution with its activation; the parents are input, weights and, with 3, the bias.
#[derive(Debug)]
struct Conv;

#[derive(Clone, Debug)]
struct ConvState {
    /// Kept if the weights' gradient is wanted.
    x: Option<NodeId>,
    /// Kept if the input's gradient is wanted.
    weight: Option<NodeId>,
    /// Kept if there is an activation.
    output: Option<FlexTensor>,
    shape: Shape,
    activation: Activation,
}

impl ConvState {
    fn new(
        x: Option<NodeId>,
        weight: Option<NodeId>,
        output: &FlexTensor,
        shape: Shape,
        activation: Activation,
    ) -> Self {
        Self { x, weight, output: kept_output(output, activation), shape, activation }
    }
}

impl<const N: usize> Backward<Flex, N> for Conv {
    type State = ConvState;

    fn backward(self, ops: Ops<ConvState, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let state = ops.state;
        let gradient = grads.consume::<Flex>(&ops.node);
        let gradient = run::before_activation(gradient, state.output, state.activation);
        let mut kept = |node: Option<NodeId>| -> Option<FlexTensor> {
            node.map(|node| checkpointer.retrieve_node_output(node))
        };
        let (x, weight) = (kept(state.x), kept(state.weight));
        let (of_x, of_weight) = run::conv2d_backward(x, weight, &gradient, &state.shape);
        for (parent, value) in ops.parents.iter().zip([of_x, of_weight]) {
            if let (Some(parent), Some(value)) = (parent, value) {
                grads.register::<Flex>(parent.id, value);
            }
        }
        if let Some(Some(bias)) = ops.parents.get(2) {
            grads.register::<Flex>(bias.id, run::bias_gradient(&gradient));
        }
    }
}

/// A convolution with a scale and a shift per channel and its activation; the parents are input, weights, scales and
/// shifts. Weights and scales are kept, the input if one of the two learns.
#[derive(Debug)]
struct ScaledConv;

impl Backward<Flex, 4> for ScaledConv {
    type State = ((Option<NodeId>, [NodeId; 2]), Option<FlexTensor>, Shape, Activation);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let ((x, others), output, shape, activation) = ops.state;
        let gradient = run::before_activation(grads.consume::<Flex>(&ops.node), output, activation);
        let x = x.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
        let others = others.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let values = run::conv2d_scaled_backward(x, others, &gradient, &shape, wanted);
        for (parent, value) in ops.parents.iter().zip(values) {
            if let (Some(parent), Some(value)) = (parent, value) {
                grads.register::<Flex>(parent.id, value);
            }
        }
    }
}

/// A fully connected layer without its bias; the parents are input and weights, each kept if the other's gradient
/// is wanted.
#[derive(Debug)]
struct Linear;

impl Backward<Flex, 2> for Linear {
    type State = ([Option<NodeId>; 2], Layer);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (nodes, layer) = ops.state;
        let [x, weight] =
            nodes.map(|node| node.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node)));
        let values = run::linear_backward(x, weight, gradient, layer);
        for (parent, value) in ops.parents.iter().zip(values) {
            if let (Some(parent), Some(value)) = (parent, value) {
                grads.register::<Flex>(parent.id, value);
            }
        }
    }
}

/// A batch normalisation; the parents are input, gamma and beta.
#[derive(Debug)]
struct Norm;

impl Backward<Flex, 3> for Norm {
    type State = ([NodeId; 3], run::Kept);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (nodes, kept) = ops.state;
        let [x, gamma, beta] = nodes.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
        let values = run::batch_norm_backward(x, gamma, beta, &kept, gradient);
        for (parent, value) in ops.parents.iter().zip(values) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, value);
            }
        }
    }
}

/// A map per channel; the parents are input, scales and shifts.
#[derive(Debug)]
struct ScaleShift;

impl Backward<Flex, 3> for ScaleShift {
    type State = ([NodeId; 3], Activation);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (nodes, activation) = ops.state;
        let [x, scale, shift] = nodes.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
        let values = run::scale_shift_backward(x, scale, shift, activation, gradient);
        for (parent, value) in ops.parents.iter().zip(values) {
            if let Some(parent) = parent {
                grads.register::<Flex>(parent.id, value);
            }
        }
    }
}

/// A sum of two with its activation; the parents are both.
#[derive(Debug)]
struct Sum;

impl Backward<Flex, 2> for Sum {
    type State = (Option<FlexTensor>, Activation);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (output, activation) = ops.state;
        let gradient = run::before_activation(grads.consume::<Flex>(&ops.node), output, activation);
        for parent in ops.parents.iter().flatten() {
            grads.register::<Flex>(parent.id, gradient.clone());
        }
    }
}

/// A max pooling; the parent is its input.
#[derive(Debug)]
struct Pool;

impl Backward<Flex, 1> for Pool {
    type State = (NodeId, FlexTensor, PoolShape);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (x, output, shape) = ops.state;
        let x = checkpointer.retrieve_node_output::<FlexTensor>(x);
        if let [Some(parent)] = ops.parents {
            let value = run::max_pool2d_backward(x, &output, gradient, &shape);
            grads.register::<Flex>(parent.id, value);
        }
    }
}

/// Regions read at one size; the parent is the map.
#[derive(Debug)]
struct Regions;

impl Backward<Flex, 1> for Regions {
    type State = ([usize; 4], Arc<[Region]>, RoiAlign);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let (dims, regions, options) = ops.state;
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, run::roi_align_backward(gradient, dims, &regions, &options));
        }
    }
}
