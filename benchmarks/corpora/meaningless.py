"""Operators of corpus (b) that ONNX has no meaning for, each with the reason: a table."""

_RANDOM = "random: no two runs are equal, so none can be checked"
_UNINITIALIZED = "returns memory as it is found"
_STORAGE = "addresses the memory of its input, and ONNX tensors have values only"
_SPARSE = "sparse or compressed tensors"
_CUDA = "runs on CUDA only"
_BASIS = "returns vectors that are determined only up to sign or rotation"
_BITS = "hashes the bits of numbers, which ONNX shows from opset 26 on (BitCast)"
_COMPLEX_SPECTRUM = "eigenvalues of a general matrix: iterative and complex, with no fixed order"

MEANINGLESS = {
    "bernoulli": _RANDOM,
    "cauchy": _RANDOM,
    "exponential": _RANDOM,
    "geometric": _RANDOM,
    "log_normal": _RANDOM,
    "multinomial": _RANDOM,
    "nn.functional.alpha_dropout": _RANDOM,
    "nn.functional.dropout": _RANDOM,
    "nn.functional.dropout2d": _RANDOM,
    "nn.functional.dropout3d": _RANDOM,
    "nn.functional.feature_alpha_dropout": _RANDOM,
    "nn.functional.fractional_max_pool2d": _RANDOM,
    "nn.functional.fractional_max_pool3d": _RANDOM,
    "nn.functional.rrelu": _RANDOM,
    "normal": _RANDOM,
    "pca_lowrank": _RANDOM,
    "rand_like": _RANDOM,
    "randint_like": _RANDOM,
    "randn_like": _RANDOM,
    "svd_lowrank": _RANDOM,
    "uniform": _RANDOM,
    "empty_like": _UNINITIALIZED,
    "new_empty": _UNINITIALIZED,
    "new_empty_strided": _UNINITIALIZED,
    "as_strided": _STORAGE,
    "as_strided_copy": _STORAGE,
    "as_strided_scatter": _STORAGE,
    "resize_": _STORAGE,
    "resize_as_": _STORAGE,
    "sparse.mm": _SPARSE,
    "sparse.sampled_addmm": _SPARSE,
    "to_sparse": _SPARSE,
    "jiterator_2inputs_2outputs": _CUDA,
    "jiterator_4inputs_with_extra_args": _CUDA,
    "jiterator_binary": _CUDA,
    "jiterator_binary_return_by_ref": _CUDA,
    "jiterator_unary": _CUDA,
    "linalg.eigh": _BASIS,
    "linalg.svd": _BASIS,
    "svd": _BASIS,
    "hash_tensor": _BITS,
    "linalg.eig": _COMPLEX_SPECTRUM,
    "linalg.eigvals": _COMPLEX_SPECTRUM,
}
