fn main() {
    println!("{} {:?}", tch::get_num_threads(), tch::Tensor::from_slice(&[1.0f32, 2.0]).sum(tch::Kind::Float));
}
