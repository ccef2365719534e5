#include "cliplens/decompose/decompose.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "cliplens/base/error.h"
#include "cliplens/base/parallel.h"
#include "cliplens/io/image.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

// What is stored is what is measured: a store of halves has the statistics and the certificate of
// its halves.
void RoundToHalf(FactorBlock& block) {
  const auto round = [](std::span<float> values) {
    for (float& v : values) v = HalfToFloat(FloatToHalf(v));
  };
  round(block.head_z.flat());
  round(block.mlp.flat());
  round(block.cls_attn.flat());
  round(block.embedding.flat());
}

}  // namespace

Decomposer::Decomposer(const ClipModel& model, int threads) : basis_(MakeBasis(model, threads)) {
  const ModelConfig& config = model.config();
  layers_ = config.vision.layers;
  heads_ = config.vision.heads;
  head_width_ = config.vision.head_width();
  width_ = config.vision.width;
  embed_width_ = config.embed_width;
  tokens_ = config.tokens();
  const auto weights = [&](const char* name) -> const std::vector<float>& {
    return model.tensors().at(name).values;
  };
  const std::vector<float>& gain = weights("vision.ln_post.gain");
  const std::vector<float>& bias = weights("vision.ln_post.bias");
  const std::vector<float>& projection = weights("vision.projection");
  scaled_projection_ = Array<float, 2>({width_, embed_width_});
  Vector p_gain = Vector::Zero(embed_width_);
  Vector p_bias = Vector::Zero(embed_width_);
  for (Index d = 0; d < width_; ++d) {
    for (Index e = 0; e < embed_width_; ++e) {
      const double p = projection[static_cast<std::size_t>(d * embed_width_ + e)];
      const double g = gain[static_cast<std::size_t>(d)];
      scaled_projection_(d, e) = static_cast<float>(g * p);
      p_gain[e] += g * p;
      p_bias[e] += static_cast<double>(bias[static_cast<std::size_t>(d)]) * p;
    }
  }
  for (Index e = 0; e < embed_width_; ++e) {
    p_gain_.push_back(static_cast<float>(p_gain[e]));
    p_bias_.push_back(static_cast<float>(p_bias[e]));
  }
}

void Decomposer::Fill(const Activations& a, std::span<const float> embedding, FactorBlock& block,
                      Index b) const {
  for (Index l = 0; l < layers_; ++l) {
    for (Index h = 0; h < heads_; ++h) {
      std::ranges::copy(a.z[l].row(h), block.head_z.view()[l][h].row(b).data());
    }
  }
  block.ln(b, 0) = static_cast<float>(a.mean);
  block.ln(b, 1) = static_cast<float>(a.sigma);
  block.ln(b, 2) = static_cast<float>(a.norm);
  std::ranges::copy(embedding, block.embedding.row(b).data());

  // c = P^T(γ ⊙ (r − μ/J)/σ + β/J)/n for INPUT and each MLP.
  const auto components = static_cast<double>(2 * layers_ + 1);
  const double scale = 1.0 / (a.sigma * a.norm);
  std::vector<float> rows(static_cast<std::size_t>((layers_ + 1) * embed_width_));
  nn::Gemm({.m = layers_ + 1,
            .n = embed_width_,
            .k = width_,
            .a = a.mlp.data(),
            .a_stride = width_,
            .b = scaled_projection_.data(),
            .b_stride = embed_width_,
            .c = rows.data(),
            .c_stride = embed_width_});
  for (Index j = 0; j <= layers_; ++j) {
    const std::span<float> out = block.mlp[j].row(b);
    for (Index e = 0; e < embed_width_; ++e) {
      const auto i = static_cast<std::size_t>(e);
      out[i] = static_cast<float>((rows[static_cast<std::size_t>(j * embed_width_ + e)] -
                                   a.mean / components * p_gain_[i]) *
                                      scale +
                                  p_bias_[i] / components / a.norm);
    }
  }

  // The class token's attention to itself: Σ_h u^T B with 1/N of the layer's constants.
  std::vector<double> u(static_cast<std::size_t>(head_width_ + kExtraFactors));
  std::vector<float> factor(u.size());
  for (Index l = 0; l < layers_; ++l) {
    float* out = block.cls_attn[l].row(b).data();
    for (Index h = 0; h < heads_; ++h) {
      FillFactor(a.z_self[l].row(h), a.mean, a.sigma, a.norm, u);
      for (std::size_t k = 0; k < u.size(); ++k) {
        const bool constant = k >= static_cast<std::size_t>(head_width_);
        factor[k] = static_cast<float>(constant ? u[k] / static_cast<double>(tokens_) : u[k]);
      }
      nn::Gemm({.m = 1,
                .n = embed_width_,
                .k = head_width_ + kExtraFactors,
                .a = factor.data(),
                .a_stride = head_width_ + kExtraFactors,
                .b = basis_.heads.view()[l][h].data(),
                .b_stride = embed_width_,
                .c = out,
                .c_stride = embed_width_,
                .beta = h == 0 ? 0.0f : 1.0f});
    }
  }
}

std::vector<double> Certify(const FactorBlock& block, const Basis& basis, int threads) {
  constexpr Index kRows = 64;
  const Index images = block.images();
  const Index width = basis.embed_width();
  const Index factor_width = basis.factor_width();
  std::vector<double> certificate(static_cast<std::size_t>(images));
  ParallelFor(threads, (images + kRows - 1) / kRows, [&](Index part, int) {
    const Index begin = part * kRows;
    const Index count = std::min(kRows, images - begin);
    Array<float, 2> sum({count, width});
    Array<float, 2> factors({count, factor_width});
    std::vector<double> u(static_cast<std::size_t>(factor_width));
    for (Index i = 0; i < basis.layers() * basis.num_heads(); ++i) {
      const Index l = i / basis.num_heads();
      const Index h = i % basis.num_heads();
      for (Index b = 0; b < count; ++b) {
        const std::span<const float> ln = block.ln.row(begin + b);
        FillFactor(block.head_z.view()[l][h].row(begin + b), ln[0], ln[1], ln[2], u);
        std::ranges::transform(u, factors.row(b).data(),
                               [](double v) { return static_cast<float>(v); });
      }
      nn::Gemm({.m = count,
                .n = width,
                .k = factor_width,
                .a = factors.data(),
                .a_stride = factor_width,
                .b = basis.heads.view()[l][h].data(),
                .b_stride = width,
                .c = sum.data(),
                .c_stride = width,
                .beta = 1.0f});
    }
    for (Index b = 0; b < count; ++b) {
      double error = 0;
      double length = 0;
      for (Index e = 0; e < width; ++e) {
        double total = sum(b, e);
        for (Index j = 0; j <= basis.layers(); ++j) total += block.mlp(j, begin + b, e);
        const double expected = block.embedding(begin + b, e);
        error += (total - expected) * (total - expected);
        length += expected * expected;
      }
      certificate[static_cast<std::size_t>(begin + b)] = std::sqrt(error / length);
    }
  });
  return certificate;
}

DecomposeResult Decompose(const ClipModel& model, const ImageSet& set,
                          const DecomposeOptions& options) {
  const int threads = ResolveThreads(options.threads);
  const ModelConfig& config = model.config();
  const Index images = set.size();
  StoreInfo info;
  info.model_name = model.name();
  info.model_path = std::filesystem::weakly_canonical(model.path()).string();
  info.model_architecture = model.architecture();
  info.fingerprint = model.fingerprint();
  info.model_config = ToJson(config);
  info.type = options.type;
  info.stats_only = options.stats_only;
  info.slices = options.slices;
  info.precision = NameOf(model.precision());
  info.data.push_back({set.kind(), std::filesystem::weakly_canonical(set.root()).string(), images});

  const Decomposer decomposer(model, threads);
  StoreWriter writer(options.out, decomposer.basis(), info);
  Statistics statistics(config.vision.layers, config.vision.heads,
                        config.vision.head_width() + kExtraFactors, config.embed_width,
                        options.slices);
  DecomposeResult result;
  result.images = images;
  double certificate_sum = 0;
  Passes passes(model, threads);
  std::mutex progress_mutex;
  Index done = 0;
  for (Index begin = 0; begin < images; begin += kShardImages) {
    const Index count = std::min(kShardImages, images - begin);
    FactorBlock block = MakeBlock(config.vision.layers, config.vision.heads,
                                  config.vision.head_width(), config.embed_width, count);
    std::vector<Item> items(static_cast<std::size_t>(count));
    std::vector<Index> slices(static_cast<std::size_t>(count));
    // A pass runs on one thread from its files to its factors, so decoding and computing overlap,
    // and nothing of a picture depends on its neighbours.
    passes.ForImages(count, [&](Index first, Index last, Workspace& workspace) {
      const auto pictures = static_cast<std::size_t>(last - first);
      std::vector<Array<float, 3>> pixels;
      for (Index b = first; b < last; ++b) {
        Item item = set.item(begin + b);
        pixels.push_back(
            Preprocess(DecodeImage(set.Read(begin + b), item.path), config.preprocess));
        slices[static_cast<std::size_t>(b)] = SliceOf(item.path, options.slices);
        items[static_cast<std::size_t>(b)] = std::move(item);
      }
      Array<float, 2> embeddings({last - first, config.embed_width});
      std::vector<Activations> activations(pictures);
      model.EmbedImages(pixels, embeddings, workspace, activations);
      for (std::size_t k = 0; k < pictures; ++k) {
        const auto b = static_cast<Index>(k);
        decomposer.Fill(activations[k], embeddings.row(b), block, first + b);
      }
      if (options.progress) {
        const std::lock_guard lock(progress_mutex);
        done += last - first;
        options.progress(done, images);
      }
    });
    if (options.type == StoreType::kF16) RoundToHalf(block);
    const std::vector<double> certificates = Certify(block, decomposer.basis(), threads);
    for (std::size_t b = 0; b < certificates.size(); ++b) {
      const double c = certificates[b];
      if (!std::isfinite(c)) {
        throw Error(ErrorCode::kUnsupported,
                    "{}: the contributions of this picture are not finite in {}; {}", items[b].path,
                    options.type == StoreType::kF16 ? "fp16" : "fp32",
                    options.type == StoreType::kF16
                        ? "store them as fp32"
                        : "the model's activations overflow on it: check the weights");
      }
      result.certificate.max = std::max(result.certificate.max, c);
      certificate_sum += c;
    }
    statistics.Add(block, slices, decomposer.basis(), threads);
    if (!options.stats_only) {
      writer.AddShard(block, items);
      ++result.shards;
    }
  }
  result.certificate.mean = certificate_sum / static_cast<double>(std::max<Index>(images, 1));
  writer.Finish(statistics, result.certificate);
  return result;
}

}  // namespace cliplens
