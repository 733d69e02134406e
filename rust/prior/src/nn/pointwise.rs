//! Operations number by number and row by row on the threads of the caller, as candle operations with their backward passes.
//!
//! From 65,536 numbers on candle's own keep threads that outlive the job and are missing in a forked process.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor};
use maquette_core::exp::exp;
use rayon::prelude::*;

use super::{slice_of, with_slices};

const CHUNK: usize = 1 << 14;

/// `a + b`.
///
/// # Errors
/// When their shapes differ.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !a.device().is_cpu() {
        return a + b;
    }
    a.contiguous()?.apply_op2(&b.contiguous()?, Sum)
}

/// `x / (1 + exp(-x))`.
///
/// # Errors
/// When candle refuses.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return x.silu();
    }
    x.contiguous()?.apply_op1(Silu)
}

/// Shares along the last axis, proportional to `exp(scale · x)`.
///
/// # Errors
/// When `x` has no axis.
pub fn softmax(x: &Tensor, scale: f32) -> Result<Tensor> {
    let row = x.dim(D::Minus1)?;
    if !x.device().is_cpu() {
        let x = (x * f64::from(scale))?;
        // What is taken away changes nothing, so it needs no gradient.
        let exp = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
        return exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?);
    }
    x.contiguous()?.apply_op1(Softmax { row, scale })
}

/// A number whose gradient with respect to `x` is `gradient`: where a backward pass starts that has begun elsewhere.
///
/// # Errors
/// When `gradient` has another length than `x`.
pub fn seed(x: &Tensor, gradient: Vec<f32>) -> Result<Tensor> {
    if gradient.len() != x.elem_count() {
        candle_core::bail!("{} gradients for {} numbers", gradient.len(), x.elem_count());
    }
    x.apply_op1(Seed { gradient })
}

struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if a_layout.shape() != b_layout.shape() {
            candle_core::bail!("sum of {a_layout:?} and {b_layout:?}: the shapes differ");
        }
        let (a, b) = (slice_of(a, a_layout)?, slice_of(b, b_layout)?);
        Ok((
            CpuStorage::F32(combined(a, b, CHUNK, |a, b, out| each(a, b, out, |a, b| a + b))),
            a_layout.shape().clone(),
        ))
    }

    fn bwd(&self, _a: &Tensor, _b: &Tensor, _sum: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

struct Silu;

impl CustomOp1 for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice_of(x, layout)?;
        let out = combined(x, x, CHUNK, |x, _, out| each(x, x, out, |x, _| x / (1.0 + exp(-x))));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let slope = |x: f32, grad: f32| {
            let sigmoid = 1.0 / (1.0 + exp(-x));
            grad * sigmoid * (1.0 + x * (1.0 - sigmoid))
        };
        gradient(x, grad, CHUNK, |x, grad, out| each(x, grad, out, slope))
    }
}

struct Softmax {
    row: usize,
    scale: f32,
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice_of(x, layout)?;
        let out = combined(x, x, self.row, |x, _, out| {
            let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            each(x, x, out, |x, _| exp(self.scale * (x - most)));
            let total: f32 = out.iter().sum();
            for share in out {
                *share /= total;
            }
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, shares: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        gradient(shares, grad, self.row, |shares, grad, out| {
            let mean: f32 = shares.iter().zip(grad).map(|(share, grad)| share * grad).sum();
            each(shares, grad, out, |share, grad| self.scale * share * (grad - mean));
        })
    }
}

struct Seed {
    gradient: Vec<f32>,
}

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _x: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, _grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(Tensor::from_slice(&self.gradient, x.shape(), x.device())?))
    }
}

/// `out = f(a, b)`, number by number.
fn each(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

/// What `work` makes of `chunk` numbers of `a` and `b` at a time.
fn combined(a: &[f32], b: &[f32], chunk: usize, work: impl Fn(&[f32], &[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0f32; a.len()];
    let chunk = chunk.max(1);
    out.par_chunks_mut(chunk)
        .zip(a.par_chunks(chunk).zip(b.par_chunks(chunk)))
        .for_each(|(out, (a, b))| work(a, b, out));
    out
}

/// [`combined`] for tensors of one shape.
fn gradient(
    x: &Tensor,
    grad: &Tensor,
    chunk: usize,
    work: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> Result<Option<Tensor>> {
    let out = with_slices([&x.contiguous()?, &grad.contiguous()?], |[x, grad]| combined(x, grad, chunk, work))?;
    Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Random numbers, more than a chunk.
    fn random(shape: (usize, usize)) -> Var {
        Var::from_tensor(&Tensor::randn(0.0f32, 1.0, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Values and gradients of both are the same.
    fn assert_alike(variables: &[&Var], ours: &Tensor, theirs: &Tensor) {
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let near = |a: &Tensor, b: &Tensor| {
            for (a, b) in flat(a).iter().zip(flat(b)) {
                assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} {b}");
            }
        };
        near(ours, theirs);
        let gradients = [ours, theirs].map(|out| out.sqr().unwrap().sum_all().unwrap().backward().unwrap());
        for variable in variables {
            near(gradients[0].get(variable).unwrap(), gradients[1].get(variable).unwrap());
        }
    }

    #[test]
    fn operations_and_their_gradients_are_candles() {
        let (a, b) = (random((3, CHUNK + 5)), random((3, CHUNK + 5)));
        assert_alike(&[&a, &b], &sum(&a, &b).unwrap(), &(a.as_tensor() + b.as_tensor()).unwrap());
        assert!(sum(&a, &b.narrow(0, 0, 2).unwrap()).is_err());
        assert_alike(&[&a], &silu(&a).unwrap(), &a.silu().unwrap());
        let rows = random((70, 33));
        let exps = (rows.as_tensor() * 0.5).unwrap().exp().unwrap();
        let theirs = exps.broadcast_div(&exps.sum_keepdim(D::Minus1).unwrap()).unwrap();
        assert_alike(&[&rows], &softmax(&rows, 0.5).unwrap(), &theirs);
    }

    #[test]
    fn a_seed_is_the_gradient() {
        let x = random((2, 3));
        let given = vec![1.0, -2.0, 0.5, 0.0, 3.0, 4.0];
        let gradients = seed(&(x.as_tensor() * 2.0).unwrap(), given.clone()).unwrap().backward().unwrap();
        let gradient = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, given.iter().map(|g| 2.0 * g).collect::<Vec<_>>());
        assert!(seed(&x, vec![0.0]).is_err());
    }
}
