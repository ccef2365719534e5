// Element-wise kernels over rows, dispatched at run time to the processor's widest vectors.
#pragma once

#include "cliplens/base/array.h"

namespace cliplens::nn {

// y[i] = gain ⊙ (x[i] − mean) / sqrt(var + epsilon) + bias for each of `rows` rows of `width`
// numbers, contiguous; y may be x. fp32, two passes; relative error about 1e-6 of the row's scale.
void LayerNorm(const float* x, Index rows, Index width, const float* gain, const float* bias,
               float epsilon, float* y);

// Softmax in place of the first `count` numbers of each of `rows` rows at distance `stride`. With
// `causal` row i has the first `count` + i numbers (row 0 sees `count`) and zeros up to
// `count` + rows − 1. Relative error of an entry ≤ 1e-6.
void Softmax(float* x, Index rows, Index stride, Index count, bool causal);

// Plain versions in fp64, for tests.
void RefLayerNorm(const float* x, Index rows, Index width, const float* gain, const float* bias,
                  float epsilon, float* y);
void RefSoftmax(float* x, Index rows, Index stride, Index count, bool causal);

}  // namespace cliplens::nn
