//! Operations against candle's own, which are differentiated automatically, and against central differences.

use candle_core::{Device, Tensor, Var};

use super::{Window, conv, norm, upsample};

fn random(shape: &[usize], seed: u64) -> Var {
    use rand::RngExt as _;
    let mut stream = maquette_core::random::stream(seed, "layer test");
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| stream.random::<f32>() * 2.0 - 1.0).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// Values and gradients of two functions of three variables agree.
fn agree(
    vars: [&Var; 3],
    ours: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    reference: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    tolerance: f32,
) {
    let [a, b, c] = vars.map(Var::as_tensor);
    let (x, y) = (ours(a, b, c), reference(a, b, c));
    assert!(largest_difference(&x, &y) < tolerance, "{}", largest_difference(&x, &y));
    let weight = random(x.dims(), 99);
    let gradients = |value: &Tensor| (value * weight.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    let (of_x, of_y) = (gradients(&x), gradients(&y));
    for var in vars {
        let (p, q) = (of_x.get(var).unwrap(), of_y.get(var).unwrap());
        let scale: f32 = q.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
        let off = largest_difference(p, q);
        assert!(off < tolerance * scale.max(1.0), "{:?}: {off} of {scale}", var.dims());
    }
}

#[test]
fn convolution_is_candles() {
    for (window, batch, height, width, inputs, outputs) in [
        (Window::Centred(3), 2, 5, 7, 4, 6),
        (Window::Centred(3), 3, 32, 32, 8, 16),
        (Window::Centred(3), 1, 1, 2, 3, 3),
        (Window::Centred(1), 2, 6, 4, 5, 3),
        (Window::Centred(5), 2, 3, 6, 2, 3),
        (Window::Tiled(2), 3, 6, 8, 4, 5),
        (Window::Tiled(2), 5, 32, 32, 3, 4),
        (Window::Tiled(4), 1, 4, 4, 2, 3),
    ] {
        let side = window.side();
        let x = random(&[batch, height, width, inputs], 1);
        let (kernel, bias) = (random(&[side, side, inputs, outputs], 2), random(&[outputs], 3));
        agree(
            [&x, &kernel, &bias],
            |x, k, b| conv::conv2d(x, k, b, window).unwrap(),
            |x, k, b| conv::reference(x, k, b, window).unwrap(),
            1e-4,
        );
    }
}

/// Every plane of the output is a sum of 2D convolutions of planes of the input.
fn by_planes(x: &Tensor, kernel: &Tensor, bias: &Tensor, window: Window) -> Tensor {
    let (side, depth) = (window.side(), x.dim(1).unwrap());
    let nothing = bias.zeros_like().unwrap();
    let planes = match window {
        Window::Centred(_) => depth,
        Window::Tiled(_) => depth / side,
    };
    let plane = |index: usize| {
        let mut sum: Option<Tensor> = None;
        for k in 0..side {
            let z = match window {
                Window::Centred(_) => (index + k).wrapping_sub(side / 2),
                Window::Tiled(_) => index * side + k,
            };
            if z < depth {
                let (x, kernel) = (x.get_on_dim(1, z).unwrap(), kernel.get(k).unwrap());
                let bias = if sum.is_none() { bias } else { &nothing };
                let part = conv::reference(&x, &kernel, bias, window).unwrap();
                sum = Some(sum.map_or(part.clone(), |sum| (sum + part).unwrap()));
            }
        }
        sum.unwrap()
    };
    Tensor::stack(&(0..planes).map(plane).collect::<Vec<_>>(), 1).unwrap()
}

#[test]
fn convolution_of_volumes_is_a_sum_over_planes() {
    for (window, batch, depth, height, width, inputs, outputs) in [
        (Window::Centred(3), 2, 4, 5, 6, 3, 4),
        (Window::Centred(3), 1, 16, 16, 16, 8, 8),
        (Window::Centred(3), 1, 1, 2, 3, 2, 2),
        (Window::Centred(1), 2, 3, 4, 5, 3, 2),
        (Window::Tiled(2), 2, 4, 6, 8, 3, 4),
        (Window::Tiled(2), 1, 32, 32, 32, 2, 3),
        (Window::Tiled(4), 2, 8, 4, 12, 1, 5),
    ] {
        let side = window.side();
        let x = random(&[batch, depth, height, width, inputs], 21);
        let (kernel, bias) = (random(&[side, side, side, inputs, outputs], 22), random(&[outputs], 23));
        agree(
            [&x, &kernel, &bias],
            |x, k, b| conv::conv3d(x, k, b, window).unwrap(),
            |x, k, b| by_planes(x, k, b, window),
            1e-4,
        );
    }
}

#[test]
fn group_norm_is_candles() {
    for (batch, side, channels, groups) in [(2, 5, 16, 8), (3, 1, 8, 2), (1, 16, 24, 8)] {
        let x = random(&[batch, side, side + 1, channels], 4);
        let (scale, shift) = (random(&[channels], 5), random(&[channels], 6));
        agree(
            [&x, &scale, &shift],
            |x, a, b| norm::group_norm_silu(x, a, b, groups).unwrap(),
            |x, a, b| norm::reference(x, a, b, groups).unwrap(),
            2e-4,
        );
    }
}

#[test]
fn group_norm_of_volumes_is_that_of_pictures() {
    let (x, scale, shift) = (random(&[2, 12, 5, 16], 4), random(&[16], 5), random(&[16], 6));
    agree(
        [&x, &scale, &shift],
        |x, a, b| {
            let y = norm::group_norm_silu(&x.reshape((2, 3, 4, 5, 16)).unwrap(), a, b, 8).unwrap();
            y.reshape((2, 12, 5, 16)).unwrap()
        },
        |x, a, b| norm::group_norm_silu(x, a, b, 8).unwrap(),
        1e-6,
    );
}

#[test]
fn upsampling_is_candles() {
    doubles(&[2, 3, 5, 4], &[2, 6, 10, 4]);
    doubles(&[2, 3, 2, 5, 4], &[2, 6, 4, 10, 4]);
}

fn doubles(shape: &[usize], doubled: &[usize]) {
    let (x, weight) = (random(shape, 12), random(doubled, 13));
    let run = |doubled: Tensor| {
        let gradients = (&doubled * weight.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        (doubled, gradients.get(&x).unwrap().clone())
    };
    let (ours, theirs) = (run(upsample(&x).unwrap()), run(super::upsample::reference(&x).unwrap()));
    assert!(largest_difference(&ours.0, &theirs.0) == 0.0 && largest_difference(&ours.1, &theirs.1) < 1e-6);
}

#[test]
fn gradients_are_central_differences() {
    central_differences(&[1, 4, 4, 8]);
    central_differences(&[1, 4, 3, 2, 8]);
}

fn central_differences(shape: &[usize]) {
    let x = random(shape, 7);
    let mut kernel = vec![3; shape.len() - 2];
    kernel.extend([8, 8]);
    let (kernel, bias) = (random(&kernel, 8), random(&[8], 9));
    let (scale, shift) = (random(&[8], 10), random(&[8], 11));
    let value = || {
        let window = Window::Centred(3);
        let y = if shape.len() == 4 {
            conv::conv2d(&x, &kernel, &bias, window).unwrap()
        } else {
            conv::conv3d(&x, &kernel, &bias, window).unwrap()
        };
        let y = upsample(&norm::group_norm_silu(&y, &scale, &shift, 4).unwrap()).unwrap();
        (y.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap()
    };
    let gradients = value().backward().unwrap();
    for var in [&x, &kernel, &bias, &scale, &shift] {
        let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let start = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for index in (0..start.len()).step_by(start.len().div_ceil(7)) {
            let at = |step: f32| {
                let mut moved = start.clone();
                moved[index] += step;
                var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
                value().to_scalar::<f32>().unwrap()
            };
            let slope = (at(5e-3) - at(-5e-3)) / 1e-2;
            at(0.0);
            assert!((slope - gradient[index]).abs() < 0.02 * slope.abs() + 0.05, "{slope} {}", gradient[index]);
        }
    }
}

#[test]
fn same_result_on_any_number_of_threads() {
    let (x, kernel, bias) = (random(&[9, 16, 16, 8], 1), random(&[3, 3, 8, 8], 2), random(&[8], 3));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = conv::conv2d(&x, &kernel, &bias, Window::Centred(3)).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let values = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (values(&x), values(&kernel), values(&bias))
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (x, kernel, bias) = (random(&[1, 5, 4, 8], 1), random(&[2, 2, 8, 8], 2), random(&[8], 3));
    assert!(conv::conv2d(&x, &kernel, &bias, Window::Tiled(2)).is_err());
    assert!(conv::conv2d(&x, &kernel, &bias, Window::Centred(3)).is_err());
    assert!(norm::group_norm_silu(&x, &bias, &bias, 3).is_err());
}
