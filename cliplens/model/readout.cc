#include "cliplens/model/readout.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/model/nn/kernels.h"
#include "cliplens/model/nn/matmul.h"
#include "cliplens/model/nn/product.h"

namespace cliplens {
namespace {

Vector VectorOf(const float* values, Index n) {
  return Eigen::Map<const Eigen::VectorXf>(values, n).cast<double>();
}

// With γ_a of the LayerNorm behind the attention and C its centring: γ_a ⊙ C W_O, and behind the
// columns of each head one of γ_a ⊙ C b_O / H. [D, H·(K+1)]
std::vector<float> OutBehindNorm(const TowerConfig& config, const float* weight, const float* bias,
                                 const float* gain) {
  const Index width = config.width;
  const Index head_width = config.head_width();
  const Index output_width = config.output_width();
  Matrix out(width, config.heads * output_width);
  const auto plain = AsEigen(ArrayView<const float, 2>(weight, {width, width}));
  for (Index h = 0; h < config.heads; ++h) {
    out.middleCols(h * output_width, head_width) =
        plain.middleCols(h * head_width, head_width).cast<double>();
    out.col(h * output_width + head_width) =
        VectorOf(bias, width) / static_cast<double>(config.heads);
  }
  out.rowwise() -= out.colwise().mean().eval();
  out = VectorOf(gain, width).asDiagonal() * out;
  std::vector<float> numbers(ToSize(out.size()));
  std::ranges::transform(std::span(out.data(), numbers.size()), numbers.begin(),
                         [](double v) { return static_cast<float>(v); });
  return numbers;
}

// [rows, n] of a view that lies in a matrix with `stride` between rows.
nn::Operand<float> Rows(const float* data, Index rows, Index columns, Index stride) {
  return {data, rows, columns, stride, 1};
}

}  // namespace

void FactorLayout::Fill(std::span<const float> z, const ReadoutScale& scale,
                        std::span<double> u) const {
  if (constants == 0) {
    std::ranges::copy(z, u.begin());
    return;
  }
  const double factor = 1.0 / (scale.sigma * scale.norm);
  for (std::size_t k = 0; k < z.size(); ++k) u[k] = z[k] * factor;
  u[z.size()] = factor;
  u[z.size() + 1] = scale.mean * factor;
  u[z.size() + 2] = scale.sigma * factor;
}

Readout::Readout(const TowerConfig& config, const TensorMap& tensors, std::string prefix,
                 Index embed_width, Index tokens, const AttentionPool* pool, bool given_sigma,
                 std::optional<PoolTerms> at_pool)
    : config_(config),
      embed_width_(embed_width),
      tokens_(tokens),
      pool_(pool),
      given_sigma_(given_sigma),
      at_pool_(at_pool),
      scaled_(std::make_shared<Scaled>()) {
  const auto tensor = [&](const std::string& name) { return ValuesOf(tensors, prefix + name); };
  gain_ = tensor(".ln_post.gain");
  bias_ = tensor(".ln_post.bias");
  if (pool == nullptr) {
    projection_ = {tensor(".projection"), {config.width, embed_width}};
    if (tensors.contains(prefix + ".projection.bias")) {
      projection_bias_ = tensor(".projection.bias");
    }
  }
  for (Index l = 0; l < config.layers; ++l) {
    const auto of_layer = [&](const char* part) {
      return tensor(fmt::format(".block.{}.{}", l, part));
    };
    out_weight_.push_back(of_layer("attn.out.weight"));
    out_bias_.push_back(of_layer("attn.out.bias"));
    if (!config.post_norm) continue;
    const float* gain = of_layer("ln1.gain");
    behind_norm_.push_back({gain, out_weight_.back(), out_bias_.back(),
                            OutBehindNorm(config, out_weight_.back(), out_bias_.back(), gain)});
    out_weight_.back() = behind_norm_.back().folded.data();
    out_bias_.back() = of_layer("ln1.bias");
  }
}

namespace {

// Makes a row unit; returns its length.
double MakeUnit(std::span<float> row) {
  double square = 0;
  for (const float v : row) square += static_cast<double>(v) * v;
  const double norm = std::sqrt(square);
  for (float& v : row) v = static_cast<float>(v / norm);
  return norm;
}

}  // namespace

ReadoutScale Readout::Embed(std::span<const float> pooled, std::span<float> embedding) const {
  if (pool_ != nullptr) {
    std::ranges::copy(pooled, embedding.begin());
    return {.mean = 0, .sigma = 1, .norm = MakeUnit(embedding)};
  }
  // The moments in fp64: they are factors of the decomposition.
  const std::span<const float> row = pooled.first(ToSize(config_.width));
  auto [mean, sigma] = is_plain() ? nn::RowMoments{0, 1} : nn::MomentsOf(row, config_.norm_epsilon);
  if (given_sigma_) sigma = pooled.back();
  std::vector<float> normed(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    normed[i] =
        static_cast<float>((row[i] - mean) / sigma * gain_[i] + static_cast<double>(bias_[i]));
  }
  nn::Gemm({normed.data(), {1, config_.width}}, projection_, embedding.data());
  for (std::size_t e = 0; projection_bias_ != nullptr && e < embedding.size(); ++e) {
    embedding[e] += projection_bias_[e];
  }
  return {.mean = mean, .sigma = sigma, .norm = MakeUnit(embedding)};
}

Matrix Readout::EmbedRows(ArrayView<const float, 2> rows) const {
  const Index width = config_.width;
  if (pool_ != nullptr) {
    Matrix embedded(rows.dim(0), embed_width_);
    for (Index i = 0; i < rows.dim(0); ++i) {
      embedded.row(i) = pool_->Run(rows.rows(i, i + 1)).embedding.transpose();
    }
    return embedded;
  }
  Matrix normed(rows.dim(0), width);
  for (Index i = 0; i < rows.dim(0); ++i) {
    const auto row = Eigen::Map<const Eigen::VectorXf>(rows.row(i).data(), width).cast<double>();
    const double mean = row.mean();
    const double sigma = std::sqrt((row.array() - mean).square().mean() + config_.norm_epsilon);
    for (Index d = 0; d < width; ++d) {
      normed(i, d) = (row[d] - mean) / sigma * gain_[d] + bias_[d];
    }
  }
  Matrix embedded = nn::Product(nn::Of(normed), nn::Of(projection_));
  if (projection_bias_ != nullptr) {
    embedded.rowwise() += VectorOf(projection_bias_, embed_width_).transpose();
  }
  return embedded;
}

Matrix Readout::ProjectRows(const Matrix& rows) const {
  const Vector mean = rows.rowwise().mean();
  if (pool_ != nullptr) {
    Matrix each(rows.rows() * pools(), rows.cols());
    for (Index i = 0; i < each.rows(); ++i) {
      each.row(i) = rows.row(i / pools()).array() - mean[i / pools()];
    }
    return pool_->Project(each);
  }
  const Matrix scaled = (rows.colwise() - mean) * VectorOf(gain_, config_.width).asDiagonal();
  return nn::Product(nn::Of(scaled), nn::Of(projection_));
}

Array<float, 4> Readout::HeadMatrices(int threads) const {
  const Index head_width = config_.output_width();
  const Index width = config_.width;
  const Vector gain = VectorOf(gain_, width);
  const Matrix projection = AsEigen(projection_).cast<double>();    // [D, E]
  const Matrix scaled_projection = gain.asDiagonal() * projection;  // diag(γ) P
  const Vector p_gain = projection.transpose() * gain;
  Vector p_bias = projection.transpose() * VectorOf(bias_, width);
  if (projection_bias_ != nullptr) p_bias += VectorOf(projection_bias_, embed_width_);
  Array<float, 4> matrices({config_.layers, config_.heads, factor().width(), embed_width_});
  ParallelFor(threads, config_.layers, [&](Index l, int) {
    const Matrix out =
        AsEigen(ArrayView<const float, 2>(out_weight(l), {width, inner()})).cast<double>();
    const Vector p_out = scaled_projection.transpose() * VectorOf(out_bias(l), width);
    for (Index h = 0; h < config_.heads; ++h) {
      auto b = AsEigen(matrices.view()[l][h]);
      const nn::Operand<double> w{out.data() + h * head_width, out.rows(), head_width, out.cols(),
                                  1};
      b.topRows(head_width) = nn::Product(w.Transposed(), nn::Of(scaled_projection)).cast<float>();
      b.row(head_width) = (p_out / H()).cast<float>();
      if (!is_plain()) b.row(head_width + 1) = (-p_gain / (J() * H())).cast<float>();
      b.row(head_width + 2) = (p_bias / (J() * H())).cast<float>();
    }
  });
  return matrices;
}

const Readout::Scaled& Readout::scaled() const {
  std::call_once(scaled_->once, [&] {
    const Index width = config_.width;
    Scaled& s = *scaled_;
    s.projection = Array<float, 2>({width, embed_width_});
    Vector p_gain = Vector::Zero(embed_width_);
    Vector p_bias = Vector::Zero(embed_width_);
    for (Index d = 0; d < width; ++d) {
      for (Index e = 0; e < embed_width_; ++e) {
        const double p = projection_(d, e);
        const double g = gain_[d];
        s.projection(d, e) = static_cast<float>(g * p);
        p_gain[e] += g * p;
        p_bias[e] += static_cast<double>(bias_[d]) * p;
      }
    }
    if (projection_bias_ != nullptr) p_bias += VectorOf(projection_bias_, embed_width_);
    for (const double v : p_gain) s.p_gain.push_back(static_cast<float>(v));
    for (const double v : p_bias) s.p_bias.push_back(static_cast<float>(v));
  });
  return *scaled_;
}

void Readout::ProjectScaled(ArrayView<const float, 2> rows, float* out) const {
  nn::Gemm(rows, scaled().projection, out);
}

void Readout::PartContributions(ArrayView<const float, 2> parts, const ReadoutScale& scale,
                                ArrayView<float, 2> out) const {
  if (pool_ != nullptr) {
    std::ranges::copy(parts.flat(), out.data());
    return;
  }
  const Scaled& s = scaled();
  ProjectScaled(parts, out.data());
  const double factor = 1.0 / (scale.sigma * scale.norm);
  const double terms = at_pool_ ? 0.0 : 1.0;  // of the J
  for (Index j = 0; j < parts.dim(0); ++j) {
    const std::span<float> row = out.row(j);
    for (std::size_t e = 0; e < row.size(); ++e) {
      row[e] = static_cast<float>((row[e] - terms * scale.mean / J() * s.p_gain[e]) * factor +
                                  terms * s.p_bias[e] / J() / scale.norm);
    }
  }
}

Readout::Share Readout::ShareOf(const ComponentId& id, double weight) const {
  switch (id.kind) {
    case ComponentId::Kind::kLayer:
      return {weight / J(), weight};
    case ComponentId::Kind::kHead:
      return {weight / H() / J(), weight / H()};
    case ComponentId::Kind::kInput:
    case ComponentId::Kind::kMlp:
      break;
    case ComponentId::Kind::kPoolMlp:
      return {0, 0};
  }
  return {weight * PartShare(), 0};
}

void Readout::SumContribution(std::span<const float> r, double share, const ReadoutScale& scale,
                              std::vector<float>& scratch, std::span<double> out) const {
  const Scaled& s = scaled();
  scratch.resize(out.size());
  ProjectScaled({r.data(), {1, config_.width}}, scratch.data());
  const double factor = 1.0 / (scale.sigma * scale.norm);
  for (std::size_t e = 0; e < out.size(); ++e) {
    out[e] =
        (static_cast<double>(scratch[e]) - share * scale.mean * static_cast<double>(s.p_gain[e])) *
            factor +
        share * static_cast<double>(s.p_bias[e]) / scale.norm;
  }
}

ReadoutDirections Readout::Against(ArrayView<const float, 2> directions, int threads,
                                   LayerRange layers) const {
  const Index width = config_.width;
  ReadoutDirections against;
  if (pool_ != nullptr) {
    against.residual = pool_->PullBack(directions);
    const auto along = [&](const Vector& constant) {
      const Matrix row = constant.transpose();
      return nn::Product(nn::Of(directions), nn::Of(row).Transposed());
    };
    against.bias = along(pool_->constant());
    against.pool_bias = along(pool_->scaled_constant());
  } else {
    const Matrix projected = nn::Product(nn::Of(directions), nn::Of(projection_).Transposed());
    against.residual = projected * VectorOf(gain_, width).asDiagonal();
    against.bias = nn::Product(nn::Of(projected), Rows(bias_, 1, width, width).Transposed());
    if (projection_bias_ != nullptr) {
      nn::AddProduct(nn::Of(directions),
                     Rows(projection_bias_, 1, embed_width_, embed_width_).Transposed(),
                     against.bias);
    }
  }
  against.gain = nn::Product(nn::Of(against.residual), nn::Of(Matrix(Matrix::Ones(width, 1))));
  against.heads.resize(ToSize(config_.layers));
  against.out_bias.resize(ToSize(config_.layers));
  layers = layers.Of(config_.layers);
  ParallelFor(threads, layers.size(), [&](Index task, int) {
    const Index l = layers.begin + task;
    At(against.heads, l) =
        behind_norm_.empty()
            ? nn::Product(nn::Of(against.residual), Rows(out_weight(l), width, inner(), inner()))
            : AgainstBehindNorm(against.residual, l);
    At(against.out_bias, l) =
        nn::Product(nn::Of(against.residual), Rows(out_bias(l), 1, width, width).Transposed());
  });
  return against;
}

Matrix Readout::AgainstBehindNorm(const Matrix& residual, Index layer) const {
  const BehindNorm& norm = At(behind_norm_, layer);
  const Index width = config_.width;
  const Index head_width = config_.head_width();
  const Index output_width = config_.output_width();
  Matrix rows = residual * VectorOf(norm.gain, width).asDiagonal();
  rows.colwise() -= rows.rowwise().mean().eval();
  const Matrix heads = nn::Product(nn::Of(rows), Rows(norm.weight, width, width, width));
  const Matrix bias = nn::Product(nn::Of(rows), Rows(norm.bias, 1, width, width).Transposed());
  Matrix against(residual.rows(), inner());
  for (Index h = 0; h < config_.heads; ++h) {
    against.middleCols(h * output_width, head_width) = heads.middleCols(h * head_width, head_width);
    against.col(h * output_width + head_width) = bias.col(0) / H();
  }
  return against;
}

double Readout::Constant(const ReadoutDirections& directions, Index m,
                         const ReadoutScale& scale) const {
  if (pool_ == nullptr) return scale.sigma * directions.bias(m) - scale.mean * directions.gain(m);
  double sum = directions.bias(m) + scale.pool_scale * directions.pool_bias(m);
  for (Index p = 0; p < pools(); ++p) {
    sum -= At(scale.weighted_mean, p) * directions.gain(m * pools() + p);
  }
  return sum;
}

double Readout::PartConstant(const ReadoutDirections& directions, Index m,
                             const ReadoutScale& scale) const {
  return at_pool_ ? 0.0 : Constant(directions, m, scale) / J();
}

double Readout::HeadConstant(const ReadoutDirections& directions, Index layer, Index m,
                             const ReadoutScale& scale) const {
  const Matrix& out_bias = At(directions.out_bias, layer);
  double own = 0;
  if (pool_ == nullptr) {
    own = out_bias(m);
  } else {
    for (Index p = 0; p < pools(); ++p) own += At(scale.weight, p) * out_bias(m * pools() + p);
  }
  return (own + Constant(directions, m, scale) / J()) / H();
}

Array<float, 2> Readout::PooledTokenContributions(const Captures& captures) const {
  const Index width = config_.width;
  const Index tokens = captures.pattern.dim(2);
  const Index q = pools();
  const ReadoutScale& scale = captures.scale;
  Matrix rows = Matrix::Zero(tokens * q, width);
  Matrix weighted(tokens * q, width);
  Vector out_bias_sum = Vector::Zero(width);
  for (Index l = 0; l < config_.layers; ++l) {
    const auto pattern = captures.pattern[l];
    const auto value = captures.value[l];
    for (Index i = 0; i < tokens * q; ++i) {
      for (Index d = 0; d < width; ++d) {
        weighted(i, d) =
            double{pattern(d / config_.head_width() * q + i % q, i / q)} * value(i / q, d);
      }
    }
    nn::AddProduct(nn::Of(weighted), Rows(out_weight(l), width, width, width).Transposed(),
                   rows.data(), width);
    out_bias_sum += VectorOf(out_bias(l), width);
  }
  const auto count = static_cast<double>(tokens);
  const double parts = static_cast<double>(config_.layers) / count / J();
  for (Index i = 0; i < tokens * q; ++i) {
    rows.row(i) += At(scale.weight, i % q) / count * out_bias_sum.transpose();
    rows.row(i).array() -= At(scale.weighted_mean, i % q) * parts;
  }
  Matrix embedded = pool_->Project(rows);
  embedded.rowwise() +=
      parts * (pool_->constant() + scale.pool_scale * pool_->scaled_constant()).transpose();
  Array<float, 2> out({tokens + 2, embed_width_});
  AsEigen(out.view()).topRows(tokens) = (embedded / scale.norm).cast<float>();
  std::ranges::copy(captures.parts.row(0), out.row(tokens).data());
  for (Index j = 1; j < captures.parts.dim(0); ++j) {
    std::ranges::transform(out.row(tokens + 1), captures.parts.row(j), out.row(tokens + 1).begin(),
                           std::plus<>());
  }
  return out;
}

Array<float, 2> Readout::TokenContributions(const Captures& captures) const {
  if (pool_ != nullptr) return PooledTokenContributions(captures);
  const Index width = config_.width;
  const Index tokens = captures.pattern.dim(2);
  const ReadoutScale& scale = captures.scale;
  Matrix residual = Matrix::Zero(tokens + 2, width);
  Matrix weighted(tokens, inner());
  Vector out_bias_sum = Vector::Zero(width);
  for (Index l = 0; l < config_.layers; ++l) {
    const auto pattern = captures.pattern[l];
    const auto value = captures.value[l];
    for (Index i = 0; i < tokens; ++i) {
      for (Index k = 0; k < inner(); ++k) {
        weighted(i, k) = double{pattern(k / config_.output_width(), i)} * value(i, k);
      }
    }
    nn::AddProduct(nn::Of(weighted), Rows(out_weight(l), width, inner(), inner()).Transposed(),
                   residual.data(), width);
    out_bias_sum += VectorOf(out_bias(l), width);
  }
  for (Index j = 0; j < captures.parts.dim(0); ++j) {
    const ComponentId id = components().at(components().NumberOfResidual(j));
    const Index row = id.kind == ComponentId::Kind::kInput ? tokens : tokens + 1;
    residual.row(row) += VectorOf(captures.parts.row(j).data(), width).transpose();
  }
  const Vector gain = VectorOf(gain_, width);
  const Vector bias = VectorOf(bias_, width);
  // How many of the J components a row stands for: μ and β are shared over these.
  const auto layers = static_cast<double>(config_.layers);
  const auto parts_of = [&](Index i) {
    if (i < tokens) return layers / static_cast<double>(tokens);
    if (at_pool_) return 0.0;
    return i == tokens ? 1.0 : layers;
  };
  for (Index i = 0; i < tokens + 2; ++i) {
    const double parts = parts_of(i);
    if (i < tokens) residual.row(i) += out_bias_sum.transpose() / static_cast<double>(tokens);
    residual.row(i).array() -= scale.mean * parts / J();
    residual.row(i) = residual.row(i).cwiseProduct(gain.transpose()) / scale.sigma +
                      bias.transpose() * (parts / J());
  }
  Matrix embedded = nn::Product(nn::Of(residual), nn::Of(projection_));
  for (Index i = 0; projection_bias_ != nullptr && i < tokens + 2; ++i) {
    embedded.row(i) += parts_of(i) / J() * VectorOf(projection_bias_, embed_width_).transpose();
  }
  Array<float, 2> out({tokens + 2, embed_width_});
  AsEigen(out.view()) = (embedded / scale.norm).cast<float>();
  return out;
}

}  // namespace cliplens
