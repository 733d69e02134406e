//! Sum of two tensors of one shape on the threads of the caller, as a candle operation.
//!
//! From 65,536 numbers on candle's own keeps threads that outlive the job and are missing in a forked process.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::slice_of;

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
        let mut out = vec![0.0f32; a.len()];
        out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK))).for_each(|(out, (a, b))| {
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                *out = a + b;
            }
        });
        Ok((CpuStorage::F32(out), a_layout.shape().clone()))
    }

    fn bwd(&self, _a: &Tensor, _b: &Tensor, _sum: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn sums_and_their_gradients_are_candles() {
        let count = 3 * CHUNK + 5;
        let (a, b) = (
            Tensor::randn(0.0f32, 1.0, count, &Device::Cpu).unwrap(),
            Tensor::arange(0.0f32, count as f32, &Device::Cpu).unwrap(),
        );
        let (a, b) = (Var::from_tensor(&a).unwrap(), Var::from_tensor(&b).unwrap());
        let ours = sum(&a, &b).unwrap();
        let theirs = (a.as_tensor() + b.as_tensor()).unwrap();
        assert_eq!(ours.to_vec1::<f32>().unwrap(), theirs.to_vec1::<f32>().unwrap());
        let gradients = ours.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for variable in [&a, &b] {
            let gradient = gradients.get(variable).unwrap().to_vec1::<f32>().unwrap();
            let expected = (&theirs * 2.0).unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(gradient, expected);
        }
        assert!(sum(&a, &b.narrow(0, 0, 4).unwrap()).is_err());
    }
}
