//! Small vectors and rotations.

/// A point or direction.
pub type Vec3 = [f32; 3];
/// A 3x3 matrix, row-major.
pub type Mat3 = [[f32; 3]; 3];

/// The matrix that changes nothing.
pub const IDENTITY: Mat3 = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// Scalar product.
pub fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Euclidean length.
pub fn length(a: Vec3) -> f32 {
    dot(a, a).sqrt()
}

/// `a + b`.
pub fn add(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|k| a[k] + b[k])
}

/// `a - b`.
pub fn sub(a: Vec3, b: Vec3) -> Vec3 {
    std::array::from_fn(|k| a[k] - b[k])
}

/// `a * s`.
pub fn scale(a: Vec3, s: f32) -> Vec3 {
    a.map(|x| x * s)
}

/// From `a` to `b`, `t` of the way.
pub fn mix(a: Vec3, b: Vec3, t: f32) -> Vec3 {
    std::array::from_fn(|k| a[k] + (b[k] - a[k]) * t)
}

/// Unit vector along `a`; +Y where it has no length.
pub fn unit(a: Vec3) -> Vec3 {
    let l = length(a);
    if l > 1e-12 { scale(a, 1.0 / l) } else { [0.0, 1.0, 0.0] }
}

/// Matrix times vector.
pub fn apply(m: &Mat3, v: Vec3) -> Vec3 {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// Matrix product.
pub fn times(a: &Mat3, b: &Mat3) -> Mat3 {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

/// Swaps rows and columns: the inverse of a rotation.
pub fn transposed(m: &Mat3) -> Mat3 {
    std::array::from_fn(|i| std::array::from_fn(|j| m[j][i]))
}

/// Rotation by `radians` about axis 0 (X), 1 (Y) or 2 (Z), counter-clockwise seen from the axis' tip.
pub fn turn(axis: usize, radians: f32) -> Mat3 {
    let (sin, cos) = radians.sin_cos();
    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut m = IDENTITY;
    m[u][u] = cos;
    m[u][v] = -sin;
    m[v][u] = sin;
    m[v][v] = cos;
    m
}
