// Matrix products. matmul.cc is the one file that knows oneDNN; another backend is a second file.
//
// Every product runs on the calling thread alone, so its result does not depend on how many threads
// the program uses. Matrices are row-major fp32; a `stride` is the distance between rows.
#pragma once

#include "cliplens/base/array.h"

namespace cliplens::nn {

enum class Epilogue { kNone, kGelu, kQuickGelu };

// y [rows, out] = epilogue(x [rows, in] · weight^T + bias), weight [out, in] as in PyTorch's
// Linear; with `accumulate` the product is added to y (and there is no epilogue).
struct LinearArgs {
  Index rows = 0;
  Index in = 0;
  Index out = 0;
  const float* x = nullptr;
  Index x_stride = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;  // [out] or null
  float* y = nullptr;
  Index y_stride = 0;
  Epilogue epilogue = Epilogue::kNone;
  bool accumulate = false;
};
void Linear(const LinearArgs& args);

// c [m, n] = alpha · a [m, k] · op(b) + beta · c, op(b) = b [k, n] or, with `transpose_b`, b^T of
// b [n, k].
struct GemmArgs {
  Index m = 0;
  Index n = 0;
  Index k = 0;
  const float* a = nullptr;
  Index a_stride = 0;
  const float* b = nullptr;
  Index b_stride = 0;
  bool transpose_b = false;
  float* c = nullptr;
  Index c_stride = 0;
  float alpha = 1;
  float beta = 0;
};
void Gemm(const GemmArgs& args);

// Plain loops in fp64, for tests.
void RefLinear(const LinearArgs& args);
void RefGemm(const GemmArgs& args);

}  // namespace cliplens::nn
