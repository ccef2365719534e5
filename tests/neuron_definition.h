// Second-order effects of neurons by their definition, token by token and in fp64.
#pragma once

#include <span>
#include <string>
#include <utility>

#include "cliplens/base/linear_algebra.h"
#include "cliplens/model/captures.h"
#include "cliplens/model/checkpoint.h"
#include "cliplens/model/config.h"

namespace cliplens {

inline Vector VectorOfRow(std::span<const float> values) {
  return Eigen::Map<const Eigen::VectorXf>(values.data(), std::ssize(values)).cast<double>();
}

// The plain formulas of the definition (neuron_paths.h), with every constant split evenly.
class NeuronDefinition {
 public:
  NeuronDefinition(const TensorMap& tensors, const TowerConfig& config, Index embed_width,
                   std::string prefix, Captures captures)
      : tensors_(tensors),
        config_(config),
        embed_width_(embed_width),
        prefix_(std::move(prefix)),
        captures_(std::move(captures)) {}

  // What `term` [D] of the residual stream, one of `parts` terms of a layer's input, does through
  // head h of layer l: its row stands at every token i as term(i).
  template <typename Term>
  Vector Through(Index l, Index h, double parts, const Term& term) const {
    const Index width = config_.width;
    const Index head_width = config_.head_width();
    const Vector gain = Get(Block(l, "ln1.gain"));
    const Vector bias = Get(Block(l, "ln1.bias"));
    const Matrix value = Get(Block(l, "attn.in.weight"), 3 * width, width)
                             .middleRows(2 * width + h * head_width, head_width);
    const Vector value_bias =
        Get(Block(l, "attn.in.bias")).segment(2 * width + h * head_width, head_width);
    const Matrix out =
        Get(Block(l, "attn.out.weight"), width, width).middleCols(h * head_width, head_width);
    const Vector out_bias = Get(Block(l, "attn.out.bias"));
    Vector mixed = Vector::Zero(head_width);
    double attended = 0;
    for (Index i = 0; i < captures_.pattern.dim(2); ++i) attended += captures_.pattern[l](h, i);
    for (Index i = 0; i < captures_.pattern.dim(2); ++i) {
      Vector read = term(i);
      if (!config_.post_norm) {
        const double mean = captures_.norm1[l](i, 0);
        const double sigma = captures_.norm1[l](i, 1);
        read = gain.cwiseProduct(((read.array() - mean / parts) / sigma).matrix()) + bias / parts;
      }
      mixed += double{captures_.pattern[l](h, i)} / attended * (value * read + value_bias / parts);
    }
    if (config_.sub_norm) {
      const auto here = [&](const char* part) {
        return Vector(Get(Block(l, part)).segment(h * head_width, head_width));
      };
      const double mean = captures_.sub_norm[l](0, 0);
      const double sigma = captures_.sub_norm[l](0, 1);
      mixed =
          ((mixed.array() - mean / parts) / sigma).matrix().cwiseProduct(here("attn.norm.gain")) +
          here("attn.norm.bias") / parts;
    }
    const double heads = static_cast<double>(config_.heads);
    Vector written = out * mixed + out_bias / (parts * heads);
    if (config_.post_norm) {
      written = BehindNorm(written, captures_.sub_norm[l](0, 1), gain) + bias / (parts * heads);
    }
    const double terms = parts * heads * (1.0 + 2.0 * static_cast<double>(config_.layers));
    const ReadoutScale& scale = captures_.scale;
    const Vector read =
        Get(".ln_post.gain")
            .cwiseProduct(((written.array() - scale.mean / terms) / scale.sigma).matrix()) +
        Get(".ln_post.bias") / terms;
    Vector projected = Get(".projection", width, embed_width_).transpose() * read;
    if (tensors_.contains(prefix_ + ".projection.bias")) {
      projected += Get(".projection.bias") / terms;
    }
    return projected / scale.norm;
  }

  // φ of a neuron, or of all of them as one.
  Vector Effect(Index layer, Index neuron) const {
    const Matrix out = MlpOut(layer);
    const Vector bias = Get(Block(layer, "mlp.out.bias")) / Neurons();
    return SumOverHeads(layer, Neurons(), [&](Index i) {
      return OfMlp(layer, i, double{captures_.hidden[layer](i, neuron)} * out.col(neuron) + bias,
                   Neurons());
    });
  }
  Vector WholeMlp(Index layer) const {
    const Matrix out = MlpOut(layer);
    const Vector bias = Get(Block(layer, "mlp.out.bias"));
    return SumOverHeads(layer, 1, [&](Index i) {
      return OfMlp(layer, i, out * VectorOfRow(captures_.hidden[layer].row(i)) + bias, 1);
    });
  }
  // What a LayerNorm that divides by sigma makes of one term of its input, without its bias.
  static Vector BehindNorm(const Vector& term, double sigma, const Vector& gain) {
    return gain.cwiseProduct(((term.array() - term.mean()) / sigma).matrix());
  }
  // What of the MLP's output, one of `parts` terms, reaches the stream at token i.
  Vector OfMlp(Index layer, Index i, const Vector& term, double parts) const {
    if (!config_.post_norm) return term;
    return BehindNorm(term, captures_.mlp_norm[layer](i, 1), Get(Block(layer, "ln2.gain"))) +
           Get(Block(layer, "ln2.bias")) / parts;
  }
  Matrix MlpOut(Index layer) const {
    return Get(Block(layer, "mlp.out.weight"), config_.width, config_.mlp_width);
  }
  double Neurons() const { return static_cast<double>(config_.mlp_width); }
  const Captures& captures() const { return captures_; }

  std::string Block(Index l, const char* part) const {
    return ".block." + std::to_string(l) + "." + part;
  }
  Vector Get(const std::string& name) const {
    return VectorOfRow(tensors_.at(prefix_ + name).values);
  }
  Matrix Get(const std::string& name, Index rows, Index columns) const {
    const std::vector<float>& values = tensors_.at(prefix_ + name).values;
    return AsEigen(ArrayView<const float, 2>(values.data(), {rows, columns})).cast<double>();
  }

 private:
  // `neurons`: how many neurons a component's term is split into.
  template <typename Term>
  Vector SumOverHeads(Index layer, double neurons, const Term& term) const {
    Vector sum = Vector::Zero(embed_width_);
    for (Index l = layer + 1; l < config_.layers; ++l) {
      const double parts = (1.0 + 2.0 * static_cast<double>(l)) * neurons;
      for (Index h = 0; h < config_.heads; ++h) sum += Through(l, h, parts, term);
    }
    return sum;
  }

  const TensorMap& tensors_;
  const TowerConfig& config_;
  Index embed_width_;
  std::string prefix_;
  Captures captures_;
};

}  // namespace cliplens
