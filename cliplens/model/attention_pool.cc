#include "cliplens/model/attention_pool.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

Vector VectorAt(const float* values, Index n) {
  return Eigen::Map<const Eigen::VectorXf>(values, n).cast<double>();
}

// [rows, columns] of a matrix that lies row after row.
nn::Operand<float> MatrixAt(const float* values, Index rows, Index columns) {
  return {values, rows, columns, columns, 1};
}

// x as a row, times a matrix.
template <typename T>
Vector RowTimes(const Vector& x, const nn::Operand<T>& matrix) {
  const Matrix row = x.transpose();
  return nn::Product(nn::Of(row), matrix).row(0).transpose();
}

// weight [out, in] times x, plus bias. Each weight is read once, so nothing is packed as products
// of matrices do; sums in lanes, which compilers turn into vectors.
Vector Linear(const float* weight, const float* bias, Index out, const Vector& x) {
  constexpr Index kLanes = 8;
  const Index in = x.size();
  Vector y(out);
  for (Index o = 0; o < out; ++o) {
    const float* row = weight + o * in;
    std::array<double, kLanes> lanes = {};
    Index i = 0;
    for (; i + kLanes <= in; i += kLanes) {
      for (Index k = 0; k < kLanes; ++k) lanes[ToSize(k)] += double{row[i + k]} * x[i + k];
    }
    double sum = std::accumulate(lanes.begin(), lanes.end(), double{bias[o]});
    for (; i < in; ++i) sum += double{row[i]} * x[i];
    y[o] = sum;
  }
  return y;
}

// LN(x).
Vector LayerNormed(const Vector& x, double epsilon, const Vector& gain, const Vector& bias) {
  const double mean = x.mean();
  const double sigma = std::sqrt((x.array() - mean).square().mean() + epsilon);
  return (x.array() - mean) / sigma * gain.array() + bias.array();
}

double Activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::kGeluTanh:
      break;
  }
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

}  // namespace

AttentionPool::AttentionPool(const ModelConfig& config, const TensorMap& tensors)
    : layers_(config.vision.layers),
      width_(config.vision.width),
      pool_width_(config.pool_width()),
      heads_(config.pool.heads),
      mlp_width_(config.pool.mlp_width),
      embed_width_(config.embed_width),
      norm_behind_(config.pool.coca),
      epsilon_(config.vision.norm_epsilon),
      activation_(config.vision.activation),
      through_(std::make_shared<Through>()) {
  const auto get = [&](const char* name) {
    return ValuesOf(tensors, fmt::format("vision.{}", name));
  };
  gain_ = get("ln_post.gain");
  bias_ = get("ln_post.bias");
  const float* in = get("pool.in.weight");
  const float* in_bias = get("pool.in.bias");
  // Keys and values are one matrix with the queries, unless their widths differ.
  const bool apart = pool_width_ != width_;
  const float* query_weight = apart ? get("pool.query.weight") : in;
  const float* keys = apart ? in : in + pool_width_ * width_;
  value_ = keys + pool_width_ * width_;
  value_bias_ = in_bias + 2 * pool_width_;
  out_ = get("pool.out.weight");
  out_bias_ = get("pool.out.bias");
  if (has_mlp() || norm_behind_) {
    ln_gain_ = get("pool.ln.gain");
    ln_bias_ = get("pool.ln.bias");
  }
  if (has_mlp()) {
    mlp_in_ = get("pool.mlp.in.weight");
    mlp_in_bias_ = get("pool.mlp.in.bias");
    mlp_out_ = get("pool.mlp.out.weight");
    mlp_out_bias_ = get("pool.mlp.out.bias");
  }
  if (config.projection) projection_ = {get("projection"), {pool_width_, embed_width_}};
  if (config.projection_bias) projection_bias_ = get("projection.bias");
  for (Index l = 0; l < layers_; ++l) {
    block_out_.push_back(ValuesOf(tensors, fmt::format("vision.block.{}.attn.out.weight", l)));
    block_out_bias_.push_back(ValuesOf(tensors, fmt::format("vision.block.{}.attn.out.bias", l)));
  }

  // The query is the same for all pictures, so it goes into the keys' matrix.
  const Index head_width = pool_width_ / heads_;
  Vector probe = VectorAt(get("pool.probe"), pool_width_);
  if (norm_behind_) {
    probe = LayerNormed(probe, epsilon_, VectorAt(get("pool.probe_ln.gain"), pool_width_),
                        VectorAt(get("pool.probe_ln.bias"), pool_width_));
  }
  const Vector query = Linear(query_weight, in_bias, pool_width_, probe);
  query_ = Matrix::Zero(heads_, width_);
  for (Index p = 0; p < heads_; ++p) {
    const Vector part =
        query.segment(p * head_width, head_width) / std::sqrt(static_cast<double>(head_width));
    query_.row(p) =
        RowTimes(part, MatrixAt(keys + p * head_width * width_, head_width, width_)).transpose();
  }
  Matrix out = Eigen::Map<const Eigen::MatrixXf>(out_, pool_width_, pool_width_).cast<double>();
  Vector out_bias = VectorAt(out_bias_, pool_width_);
  constant_ = Vector::Zero(embed_width_);
  if (norm_behind_) {
    const Vector behind = VectorAt(ln_gain_, pool_width_);
    out.colwise() -= Vector(out.rowwise().mean());
    out = out * behind.asDiagonal();
    out_bias = (out_bias.array() - out_bias.mean()) * behind.array();
    constant_ += Projected(VectorAt(ln_bias_, pool_width_));
  }
  out_matrix_ = projection_.data() == nullptr ? out : nn::Product(nn::Of(out), nn::Of(projection_));
  out32_ = Array<float, 2>({pool_width_, embed_width_});
  AsEigen(out32_.view()) = out_matrix_.cast<float>();
  scaled_constant_ = Out(Linear(value_, value_bias_, pool_width_, VectorAt(bias_, width_)));
  scaled_constant_ += Projected(out_bias);
  if (projection_bias_ != nullptr) constant_ += VectorAt(projection_bias_, embed_width_);
}

Vector AttentionPool::Projected(const Vector& x) const {
  return projection_.data() == nullptr ? x : RowTimes(x, nn::Of(projection_));
}

Vector AttentionPool::Out(const Vector& y) const { return RowTimes(y, nn::Of(out_matrix_)); }

AttentionPool::Normed AttentionPool::NormedRows(ArrayView<const float, 2> rows) const {
  const Index tokens = rows.dim(0);
  const Vector gain = VectorAt(gain_, width_);
  const Vector bias = VectorAt(bias_, width_);
  Normed normed{Matrix(tokens, width_), Vector(tokens), Vector(tokens)};
  for (Index q = 0; q < tokens; ++q) {
    const nn::RowMoments moments = nn::MomentsOf(rows.row(q), epsilon_);
    normed.mean[q] = moments.mean;
    normed.sigma[q] = moments.sigma;
    const auto row = VectorAt(rows.row(q).data(), width_);
    normed.rows.row(q) =
        ((row.array() - moments.mean) / moments.sigma * gain.array() + bias.array()).transpose();
  }
  return normed;
}

AttentionPool::Heads AttentionPool::RunHeads(ArrayView<const float, 2> rows) const {
  return RunHeads(NormedRows(rows).rows);
}

AttentionPool::Heads AttentionPool::RunHeads(const Matrix& normed) const {
  Heads heads;
  Matrix& a = heads.weights;
  a = nn::Product(nn::Of(query_), nn::Of(normed).Transposed());  // [Q, N]
  for (Index p = 0; p < heads_; ++p) {
    a.row(p) = (a.row(p).array() - a.row(p).maxCoeff()).exp();
    a.row(p) /= a.row(p).sum();
  }
  const Matrix attended = nn::Product(nn::Of(a), nn::Of(normed));  // [Q, D]
  const Index head_width = pool_width_ / heads_;
  heads.z = Vector(pool_width_);
  for (Index p = 0; p < heads_; ++p) {
    const Index first = p * head_width;
    heads.z.segment(first, head_width) = Linear(value_ + first * width_, value_bias_ + first,
                                                head_width, attended.row(p).transpose());
  }
  heads.row = Linear(out_, out_bias_, pool_width_, heads.z);
  heads.mlp = Vector::Zero(pool_width_);
  if (!has_mlp()) return heads;
  const Vector row =
      LayerNormed(heads.row, epsilon_, VectorAt(ln_gain_, width_), VectorAt(ln_bias_, width_));
  const Vector hidden = Linear(mlp_in_, mlp_in_bias_, mlp_width_, row).unaryExpr([&](double v) {
    return Activate(activation_, v);
  });
  heads.mlp = Linear(mlp_out_, mlp_out_bias_, width_, hidden);
  heads.row += heads.mlp;
  return heads;
}

Array<float, 2> AttentionPool::Values(ArrayView<const float, 2> rows) const {
  const Index tokens = rows.dim(0);
  Array<float, 2> normed({tokens, width_});
  AsEigen(normed.view()) = NormedRows(rows).rows.cast<float>();
  Array<float, 2> values({tokens, pool_width_});
  nn::Gemm({.m = tokens,
            .n = pool_width_,
            .k = width_,
            .a = normed.data(),
            .a_stride = width_,
            .b = value_,
            .b_stride = width_,
            .transpose_b = true,
            .c = values.data(),
            .c_stride = pool_width_});
  for (Index q = 0; q < tokens; ++q) {
    for (Index i = 0; i < pool_width_; ++i) values(q, i) += value_bias_[i];
  }
  return values;
}

AttentionPool::Pooled AttentionPool::Run(ArrayView<const float, 2> rows) const {
  const Index tokens = rows.dim(0);
  const Normed normed = NormedRows(rows);
  const Heads heads = RunHeads(normed.rows);
  Pooled pooled;
  pooled.weights = Array<float, 2>({heads_, tokens});
  for (Index p = 0; p < heads_; ++p) {
    double weight = 0;
    double mean = 0;
    for (Index q = 0; q < tokens; ++q) {
      pooled.weights(p, q) = static_cast<float>(heads.weights(p, q) / normed.sigma[q]);
      weight += double{pooled.weights(p, q)};
      mean += double{pooled.weights(p, q)} * normed.mean[q];
    }
    pooled.weight.push_back(weight);
    pooled.weighted_mean.push_back(mean);
  }
  Vector o = heads.row;
  if (norm_behind_) {
    pooled.scale = 1 / std::sqrt((o.array() - o.mean()).square().mean() + epsilon_);
    o = LayerNormed(o, epsilon_, VectorAt(ln_gain_, pool_width_), VectorAt(ln_bias_, pool_width_));
    for (float& w : pooled.weights.flat()) w = static_cast<float>(w * pooled.scale);
    for (double& w : pooled.weight) w *= pooled.scale;
    for (double& w : pooled.weighted_mean) w *= pooled.scale;
  }
  pooled.embedding = Projected(o);
  if (projection_bias_ != nullptr) pooled.embedding += VectorAt(projection_bias_, embed_width_);
  pooled.mlp = has_mlp() ? Projected(heads.mlp) : Vector::Zero(embed_width_);
  return pooled;
}

Matrix AttentionPool::Project(const Matrix& rows) const {
  const Index count = rows.rows() / heads_;
  const Index head_width = pool_width_ / heads_;
  const Matrix scaled = rows * VectorAt(gain_, width_).asDiagonal();
  Matrix y(count, pool_width_);
  for (Index p = 0; p < heads_; ++p) {
    const nn::Operand<double> of_head{scaled.data() + p * width_, count, width_, heads_ * width_,
                                      1};
    y.middleCols(p * head_width, head_width) = nn::Product(
        of_head, MatrixAt(value_ + p * head_width * width_, head_width, width_).Transposed());
  }
  return nn::Product(nn::Of(y), nn::Of(out_matrix_));
}

Matrix AttentionPool::PullBack(ArrayView<const float, 2> directions) const {
  const Index count = directions.dim(0);
  const Index head_width = pool_width_ / heads_;
  const Matrix y = nn::Product(nn::Of(directions), nn::Of(out_matrix_).Transposed());  // [M, C]
  const Vector gain = VectorAt(gain_, width_);
  Matrix back(count * heads_, width_);
  for (Index p = 0; p < heads_; ++p) {
    const nn::Operand<double> of_head{y.data() + p * head_width, count, head_width, pool_width_, 1};
    const Matrix rows =
        nn::Product(of_head, MatrixAt(value_ + p * head_width * width_, head_width, width_));
    for (Index m = 0; m < count; ++m) {
      back.row(m * heads_ + p) = rows.row(m).cwiseProduct(gain.transpose());
    }
  }
  return back;
}

const AttentionPool::Through& AttentionPool::through() const {
  std::call_once(through_->once, [&] {
    Through& t = *through_;
    t.value = Array<float, 2>({width_, pool_width_});
    for (Index o = 0; o < pool_width_; ++o) {
      for (Index d = 0; d < width_; ++d) t.value(d, o) = gain_[d] * value_[o * width_ + d];
    }
    t.ones = Vector::Zero(pool_width_);
    for (Index d = 0; d < width_; ++d) {
      for (Index o = 0; o < pool_width_; ++o) t.ones[o] += double{t.value(d, o)};
    }
    t.out_bias = Matrix::Zero(layers_, pool_width_);
    for (Index l = 0; l < layers_; ++l) {
      Array<float, 2> product({width_, pool_width_});
      // Row h·K + k: what number k of head h adds to the Q value heads' outputs.
      Array<float, 2> out_transposed({width_, width_});
      const float* out = At(block_out_, l);
      for (Index d = 0; d < width_; ++d) {
        for (Index k = 0; k < width_; ++k) out_transposed(k, d) = out[d * width_ + k];
      }
      nn::Gemm(out_transposed, t.value, product.data());
      t.layers.push_back(std::move(product));
      t.out_bias.row(l) =
          RowTimes(VectorAt(At(block_out_bias_, l), width_), nn::Of(t.value.view())).transpose();
    }
  });
  return *through_;
}

void AttentionPool::HeadSums(Index layer, ArrayView<const float, 3> z, const Pooled& pooled,
                             double bias_share, ArrayView<float, 2> out) const {
  const Through& through = this->through();
  const Array<float, 2>& matrix = At(through.layers, layer);
  const Index count = z.dim(0);
  const Index depth = z.dim(2);
  const Index head_width = pool_width_ / heads_;
  std::vector<float> y(ToSize(count * pool_width_));
  for (Index h = 0; h < count; ++h) {
    for (Index p = 0; p < heads_; ++p) {
      const std::span<const float> from = z[h].row(p);
      float* to = y.data() + h * pool_width_ + p * head_width;
      const double weight = bias_share * At(pooled.weight, p);
      for (Index i = 0; i < head_width; ++i) {
        to[i] = static_cast<float>(weight * through.out_bias(layer, p * head_width + i));
      }
      for (Index k = 0; k < depth; ++k) {
        const float* row = matrix.row(h * depth + k).data() + p * head_width;
        for (Index i = 0; i < head_width; ++i) to[i] += At(from, k) * row[i];
      }
    }
  }
  nn::Gemm({y.data(), {count, pool_width_}}, out32_, out.data());
}

void AttentionPool::PartSums(ArrayView<const float, 3> rows, ArrayView<float, 2> out) const {
  const Array<float, 2>& value = through().value;
  const Index count = rows.dim(0);
  const Index head_width = pool_width_ / heads_;
  std::vector<float> y(ToSize(count * pool_width_));
  for (Index p = 0; p < heads_; ++p) {
    nn::Gemm({.m = count,
              .n = head_width,
              .k = width_,
              .a = rows.data() + p * width_,
              .a_stride = heads_ * width_,
              .b = value.data() + p * head_width,
              .b_stride = pool_width_,
              .c = y.data() + p * head_width,
              .c_stride = pool_width_});
  }
  nn::Gemm({y.data(), {count, pool_width_}}, out32_, out.data());
}

Vector AttentionPool::Weighted(Vector y, std::span<const double> weights) const {
  const Index head_width = pool_width_ / heads_;
  for (Index p = 0; p < heads_; ++p) y.segment(p * head_width, head_width) *= At(weights, p);
  return Out(y);
}

Vector AttentionPool::Constants(const Pooled& pooled) const {
  return constant_ + pooled.scale * scaled_constant_ -
         Weighted(through().ones, pooled.weighted_mean);
}

}  // namespace cliplens
