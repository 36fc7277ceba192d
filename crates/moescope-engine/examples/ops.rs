//! scratch
use burn::tensor::*;
fn main() {
    let which: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let d = Device::enumerate(DeviceType::Wgpu).into_iter().next().unwrap();
    println!("{:?} {:?}", d, d.identity());
    let x = Tensor::<2>::ones([7, 32], &d);
    let w = Tensor::<2>::ones([24, 32], &d);
    let ids = Tensor::<1, Int>::from_data(TensorData::new(vec![1i32, 2, 3], [3]), &d);
    let sum = |t: Tensor<2>| println!("{:?}", t.into_data().shape());
    match which {
        0 => sum(x.clone() + 1.0),
        1 => sum(x.select(0, ids)),
        2 => sum(x.matmul(w.transpose())),
        3 => sum((x.clone() * x.clone()).mean_dim(1)),
        4 => sum((x.clone() + 1e-5).sqrt()),
        5 => sum(Tensor::cat(vec![x.clone(), x], 1)),
        6 => sum(activation::softmax(x, 1)),
        7 => { let (a, _b) = x.topk_with_indices(2, 1); sum(a) }
        8 => { let (_a, b) = x.topk_with_indices(2, 1); println!("{:?}", b.into_data().shape()) }
        9 => { let b = x.argmax(1); println!("{:?}", b.into_data().shape()) }
        10 => sum(activation::silu(x)),
        11 => sum(activation::log_softmax(x, 1)),
        12 => { let a = Tensor::<1, Int>::arange(0..5, &d).unsqueeze::<2>().expand([3, 5]); let b = ids.unsqueeze_dim::<2>(1).expand([3, 5]); println!("{:?}", a.clone().lower(b.clone()).bool_or(a.greater_equal(b)).into_data().shape()) }
        13 => { let m = x.clone().lower_elem(0.5); sum(x.mask_fill(m, f32::NEG_INFINITY)) }
        14 => sum(x.slice_assign([0..2, 0..32], Tensor::ones([2, 32], &d))),
        15 => { let y = x.reshape([7, 4, 8]).swap_dims(0, 1); println!("{:?}", y.clone().matmul(y.swap_dims(1, 2)).into_data().shape()) }
        16 => sum(x.gather(1, Tensor::<2, Int>::zeros([7, 1], &d))),
        17 => sum(activation::gelu(x)),
        _ => {}
    }
}
