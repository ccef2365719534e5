// Effects of neurons, held against their definition written out token by token in fp64.
//
// The tests of the specification of neurons, by number: 1 to 4 and 10 are here, 5 is in
// neuron_directions_test.cc, 6 in tests/analysis/neuron_ablation_test.cc, 7 in
// matching_pursuit_test.cc, 8 in tests/python/test_neurons.py, 9 in segmentation_test.cc. In fp32
// and against other libraries they are in tests/parity/test_neurons.py.
#include "cliplens/neurons/neuron_paths.h"

#include <cmath>
#include <optional>
#include <random>
#include <string_view>

#include "tests/expect_error.h"
#include "tests/neuron_definition.h"
#include "tests/random_model.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

#include "cliplens/model/clip.h"

namespace cliplens {
namespace {

constexpr std::string_view kEva02 = "eva02_base_patch16_clip_224";
constexpr std::string_view kEva02Enormous = "eva02_enormous_patch14_clip_224";
constexpr std::string_view kRegisters = "vit_small_patch14_reg4_dinov2";
constexpr std::string_view kViTamin = "vitamin_small_224";

struct Loaded {
  explicit Loaded(const RandomModel& shape) {
    shape.Write(directory.path());
    Load(shape.side);
  }
  // One of timm's towers.
  explicit Loaded(std::string_view tower) {
    const ModelConfig config = tower == kViTamin
                                   ? WriteRandomViTamin(directory.path())
                                   : WriteRandomEva(directory.path(), 3, std::string(tower));
    Load(config.preprocess.image_size);
  }

  void Load(Index side) {
    model.emplace(ClipModel::Load(directory.path()));
    // The tower takes the large matrices out of its own.
    tensors = LoadCheckpoint(directory.path()).tensors;
    std::mt19937_64 random(11);
    std::normal_distribution<float> normal;
    pixels = Array<float, 3>({3, side, side});
    for (float& v : pixels.flat()) v = normal(random);
  }
  Captures Pass(const CaptureRequest& request) {
    Captures captures;
    Array<float, 2> rows({1, model->config().embed_width});
    Workspace workspace;
    model->EmbedImages({&pixels, 1}, rows, workspace, request, {&captures, 1});
    embedding = VectorOfRow(rows.row(0));
    return captures;
  }
  NeuronDefinition DefinitionOf(const CaptureRequest& request) {
    return {tensors, model->config().vision, model->config().embed_width, "vision", Pass(request)};
  }

  TemporaryDirectory directory;
  std::optional<ClipModel> model;
  TensorMap tensors;
  Array<float, 3> pixels;
  Vector embedding;
};

const RandomModel kShapes[] = {
    {},
    {.embed_width = 7, .layers = 4, .width = 16, .heads = 4, .mlp_ratio = 1.5, .quick_gelu = true},
    {.embed_width = 20,
     .layers = 2,
     .width = 10,
     .heads = 1,
     .mlp_ratio = 4,
     .patch = 3,
     .side = 12,
     .ln_pre = false,
     .seed = 9},
};

double RelativeError(const Vector& found, const Vector& wanted) {
  return (found - wanted).norm() / wanted.norm();
}

void ExpectEffectsAreTheirDefinition(const NeuronPaths& paths, const NeuronDefinition& definition) {
  const NeuronCoefficients c = paths.CoefficientsOf(definition.captures());
  for (Index n = 0; n < paths.neurons(); ++n) {
    const Vector effect =
        (c.alpha.row(n) * paths.Directions(n) + c.shared * paths.shared()).transpose();
    EXPECT_LT(RelativeError(effect, definition.Effect(paths.layer(), n)), 1e-12)
        << "layer " << paths.layer() << " neuron " << n;
  }
}

// Test 1, in fp64.
TEST(NeuronPaths, EffectsAreTheirDefinition) {
  for (const RandomModel& shape : kShapes) {
    Loaded loaded(shape);
    for (Index layer = 0; layer + 1 < shape.layers; ++layer) {
      const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), layer, 1);
      EXPECT_EQ(paths.channels(), (shape.layers - 1 - layer) * shape.heads);
      ExpectEffectsAreTheirDefinition(paths, loaded.DefinitionOf(paths.captures()));
    }
  }
}

// EVA-02: a LayerNorm over the heads' outputs, gated MLPs with one of their own. EVA02-E:
// LayerNorms behind attention and MLP. Registers change nothing.
TEST(NeuronPaths, EffectsThroughNormsAreTheirDefinition) {
  for (const std::string_view tower : {kEva02, kEva02Enormous, kRegisters}) {
    Loaded loaded(tower);
    for (const Index layer : {0, 1}) {
      const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), layer, 1);
      const NeuronDefinition definition = loaded.DefinitionOf(paths.captures());
      ExpectEffectsAreTheirDefinition(paths, definition);
      const NeuronCoefficients c = paths.CoefficientsOf(definition.captures());
      EXPECT_LT(RelativeError(SumOfEffects(paths, c).transpose(), definition.WholeMlp(layer)),
                1e-12)
          << tower;
    }
  }
}

// ViTamin: a stem of convolutions, gated MLPs, an average of all tokens is pooled.
TEST(NeuronPaths, EffectsInATowerBehindConvolutionsAreTheirDefinition) {
  Loaded loaded(kViTamin);
  for (const Index layer : {0, 1}) {
    const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), layer, 1);
    EXPECT_EQ(paths.channels(), (2 - layer) * 3);
    const NeuronDefinition definition = loaded.DefinitionOf(paths.captures());
    ExpectEffectsAreTheirDefinition(paths, definition);
    const NeuronCoefficients c = paths.CoefficientsOf(definition.captures());
    EXPECT_LT(RelativeError(SumOfEffects(paths, c).transpose(), definition.WholeMlp(layer)), 1e-12);
  }
}

double LogisticOf(double x) { return 1 / (1 + std::exp(-x)); }

// What a neuron of a gated MLP is: its channel of f(gate) · value, computed in fp64 from the stream
// before the MLP. EVA's f is SiLU, with a LayerNorm behind the product; ViTamin's is GELU, with a
// second LayerNorm in front.
TEST(NeuronPaths, ANeuronOfAGatedMlpIsItsGatedProduct) {
  for (const std::string_view tower : {kEva02, kViTamin}) {
    Loaded loaded(tower);
    const TowerConfig& config = loaded.model->config().vision;
    CaptureRequest request = TokenCaptures();
    request.hidden = request.part_rows = request.z_rows = kAllLayers;
    const NeuronDefinition definition = loaded.DefinitionOf(request);
    const Captures& c = definition.captures();
    const Index width = config.width;
    const Index neurons = config.mlp_width;
    const auto get = [&](Index l, const char* part) {
      return definition.Get(definition.Block(l, part));
    };
    const auto norm = [&](const Vector& x, const Vector& gain, const Vector& bias) {
      const double variance = (x.array() - x.mean()).square().mean();
      const Vector centred = (x.array() - x.mean()) / std::sqrt(variance + config.norm_epsilon);
      return Vector(gain.cwiseProduct(centred) + bias);
    };
    Matrix stream = AsEigen(c.part_rows[0]).cast<double>();
    for (Index l = 0; l < config.layers; ++l) {
      stream += AsEigen(c.z_rows[l]).cast<double>() *
                definition.Get(definition.Block(l, "attn.out.weight"), width, width).transpose();
      stream.rowwise() += get(l, "attn.out.bias").transpose();
      const Matrix in = definition.Get(definition.Block(l, "mlp.in.weight"), 2 * neurons, width);
      for (Index i = 0; i < stream.rows(); ++i) {
        const bool eva = config.gated_mlp == GatedMlp::kSwiGlu;
        Vector input = norm(stream.row(i).transpose(), get(l, "ln2.gain"), get(l, "ln2.bias"));
        if (!eva) input = norm(input, get(l, "mlp.norm.gain"), get(l, "mlp.norm.bias"));
        const Vector read = in * input + get(l, "mlp.in.bias");
        Vector product(neurons);
        for (Index n = 0; n < neurons; ++n) {
          const double gate = read[n];
          const double open = eva ? LogisticOf(gate) : 0.5 * std::erfc(-gate / std::sqrt(2.0));
          product[n] = gate * open * read[neurons + n];
        }
        if (eva) product = norm(product, get(l, "mlp.norm.gain"), get(l, "mlp.norm.bias"));
        EXPECT_LT(RelativeError(VectorOfRow(c.hidden[l].row(i)), product), 2e-5)
            << "layer " << l << " token " << i;  // the pass is fp32
      }
      stream += AsEigen(c.part_rows[l + 1]).cast<double>();
    }
  }
}

// All terms of a head's input give what the pass says the head contributes: its output behind the
// LayerNorm, written, centred and projected.
TEST(NeuronPaths, TermsThroughANormOfHeadsAddUpToTheHead) {
  Loaded loaded(kEva02);
  CaptureRequest request = NeuronPaths::CapturesFor({0, 2});
  request.z = request.part_rows = request.z_rows = kAllLayers;
  const NeuronDefinition definition = loaded.DefinitionOf(request);
  const Captures& c = definition.captures();
  const TowerConfig& config = loaded.model->config().vision;
  const Index l = 2;
  // The input of the layer is one term of one.
  Matrix input = AsEigen(c.part_rows[0]).cast<double>();
  for (Index before = 0; before < l; ++before) {
    input += AsEigen(c.part_rows[before + 1]).cast<double>();
    const Matrix out =
        definition.Get(definition.Block(before, "attn.out.weight"), config.width, config.width);
    input += AsEigen(c.z_rows[before]).cast<double>() * out.transpose();
    input.rowwise() += definition.Get(definition.Block(before, "attn.out.bias")).transpose();
  }
  for (Index h = 0; h < config.heads; ++h) {
    const Vector through =
        definition.Through(l, h, 1, [&](Index i) { return Vector(input.row(i).transpose()); });
    const Matrix out =
        definition.Get(definition.Block(l, "attn.out.weight"), config.width, config.width);
    const Index k = config.head_width();
    Vector written = out.middleCols(h * k, k) * VectorOfRow(c.z[l].row(h));
    const auto heads = static_cast<double>(config.heads);
    written += definition.Get(definition.Block(l, "attn.out.bias")) / heads;
    const double terms = heads * (1.0 + 2.0 * static_cast<double>(config.layers));
    const Vector read =
        definition.Get(".ln_post.gain")
            .cwiseProduct(((written.array() - c.scale.mean / terms) / c.scale.sigma).matrix()) +
        definition.Get(".ln_post.bias") / terms;
    const Vector wanted =
        (definition.Get(".projection", config.width, loaded.model->config().embed_width)
                 .transpose() *
             read +
         definition.Get(".projection.bias") / terms) /
        c.scale.norm;
    EXPECT_LT(RelativeError(through, wanted), 1e-5) << h;  // the pass is fp32
  }
}

// The same of EVA02-E, whose outputs stand in front of a LayerNorm: through the first layer, whose
// input is INPUT alone, against the factors that the decomposition makes.
TEST(NeuronPaths, InputThroughANormBehindAttentionIsTheHead) {
  Loaded loaded(kEva02Enormous);
  CaptureRequest request = TokenCaptures();
  request.part_rows = request.sub_norm = kAllLayers;
  const NeuronDefinition definition = loaded.DefinitionOf(request);
  const Captures& c = definition.captures();
  const Readout& readout = loaded.model->image_readout();
  const Array<float, 4> basis = readout.HeadMatrices(1);
  std::vector<double> u(ToSize(readout.factor().width()));
  for (Index h = 0; h < loaded.model->config().vision.heads; ++h) {
    readout.factor().Fill(c.z[0].row(h), c.scale, u);
    Vector found = Vector::Zero(readout.embed_width());
    for (std::size_t i = 0; i < u.size(); ++i) {
      found += u[i] * VectorOfRow(basis.view()[0][h].row(static_cast<Index>(i)));
    }
    const Vector wanted =
        definition.Through(0, h, 1, [&](Index i) { return VectorOfRow(c.part_rows[0].row(i)); });
    EXPECT_LT(RelativeError(found, wanted), 1e-5) << h;  // the pass is fp32
  }
}

// The text tower by the same formulas: its pooled row is the end of the text.
TEST(NeuronPaths, EffectsInTheTextTowerAreTheirDefinition) {
  Loaded loaded(RandomModel{});
  const NeuronPaths paths(loaded.model->text_tower(), loaded.model->text_readout(), 0, 1);
  for (const char* text : {"a bed", "red"}) {
    const Tokens tokens = loaded.model->tokenizer().Encode(text);
    Captures captures;
    Array<float, 2> rows({1, loaded.model->config().embed_width});
    Workspace workspace;
    loaded.model->EmbedTokens({&tokens, 1}, rows, workspace, paths.captures(), {&captures, 1});
    EXPECT_EQ(captures.pattern.dim(2), tokens.end + 1);
    const NeuronDefinition definition(loaded.tensors, loaded.model->config().text,
                                      loaded.model->config().embed_width, "text", captures);
    const NeuronCoefficients c = paths.CoefficientsOf(captures);
    for (Index n = 0; n < paths.neurons(); ++n) {
      const Vector effect =
          (c.alpha.row(n) * paths.Directions(n) + c.shared * paths.shared()).transpose();
      EXPECT_LT(RelativeError(effect, definition.Effect(0, n)), 1e-12) << text << n;
    }
  }
}

// Test 3: Σ_n φ_n is the whole MLP pushed through the heads; κ is counted once a neuron.
TEST(NeuronPaths, EffectsOfAllNeuronsAreTheMlpPushedThrough) {
  for (const RandomModel& shape : kShapes) {
    Loaded loaded(shape);
    const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), 0, 1);
    const NeuronDefinition definition = loaded.DefinitionOf(paths.captures());
    const NeuronCoefficients c = paths.CoefficientsOf(definition.captures());
    EXPECT_LT(RelativeError(SumOfEffects(paths, c).transpose(), definition.WholeMlp(0)), 1e-12);
  }
}

// Test 2: all terms of a head's input together, INPUT, attentions and MLPs, give the head's
// contribution.
TEST(NeuronPaths, TermsOfAHeadsInputAddUpToItsContribution) {
  const RandomModel shape;
  Loaded loaded(shape);
  CaptureRequest request = TokenCaptures();
  request.norm1 = request.hidden = request.z_rows = kAllLayers;
  const NeuronDefinition definition = loaded.DefinitionOf(request);
  const Captures& captures = definition.captures();
  const Index layer = 2;
  const Index width = shape.width;
  // The head's own values give its contribution.
  const Array<float, 4> basis = loaded.model->image_readout().HeadMatrices(1);
  const Readout& readout = loaded.model->image_readout();
  std::vector<double> u(ToSize(readout.factor().width()));
  for (Index h = 0; h < shape.heads; ++h) {
    readout.factor().Fill(captures.z[layer].row(h), captures.scale, u);
    Vector wanted = Vector::Zero(shape.embed_width);
    for (Index k = 0; k < readout.factor().width(); ++k) {
      wanted += At(u, k) * VectorOfRow(basis.view()[layer][h].row(k));
    }
    const double parts = 1.0 + 2.0 * static_cast<double>(layer);
    Vector sum = Vector::Zero(shape.embed_width);
    Matrix left = Matrix::Zero(captures.pattern.dim(2), width);  // what is not INPUT
    for (Index l = 0; l < layer; ++l) {
      const Matrix mlp = definition.MlpOut(l);
      const Matrix out = definition.Get(definition.Block(l, "attn.out.weight"), width, width);
      const Vector out_bias = definition.Get(definition.Block(l, "attn.out.bias"));
      const Vector mlp_bias = definition.Get(definition.Block(l, "mlp.out.bias"));
      const auto attention = [&](Index i) {
        return Vector(out * VectorOfRow(captures.z_rows[l].row(i)) + out_bias);
      };
      const auto neurons = [&](Index i) {
        return Vector(mlp * VectorOfRow(captures.hidden[l].row(i)) + mlp_bias);
      };
      sum += definition.Through(layer, h, parts, attention);
      sum += definition.Through(layer, h, parts, neurons);
      for (Index i = 0; i < left.rows(); ++i) {
        left.row(i) += (attention(i) + neurons(i)).transpose();
      }
    }
    // INPUT is what is left of the stream before the head's layer.
    CaptureRequest last = request;
    last.last = true;
    const Captures with_last = loaded.Pass(last);
    Matrix stream = Matrix::Zero(left.rows(), width);
    for (Index i = 0; i < left.rows(); ++i) {
      stream.row(i) = VectorOfRow(with_last.last.row(i)).transpose();
      const Matrix out = definition.Get(definition.Block(layer, "attn.out.weight"), width, width);
      stream.row(i) -= (out * VectorOfRow(captures.z_rows[layer].row(i)) +
                        definition.Get(definition.Block(layer, "attn.out.bias")))
                           .transpose();
      stream.row(i) -= (definition.MlpOut(layer) * VectorOfRow(captures.hidden[layer].row(i)) +
                        definition.Get(definition.Block(layer, "mlp.out.bias")))
                           .transpose();
    }
    sum += definition.Through(layer, h, parts, [&](Index i) {
      return Vector((stream.row(i) - left.row(i)).transpose());
    });
    EXPECT_LT(RelativeError(sum, wanted), 1e-5) << h;  // the pass is fp32
  }
}

// Test 4: ∂/∂c of the path with attention, moments and length held: a_j D_j of each token.
TEST(NeuronPaths, AreTheGradientWithAttentionHeld) {
  const RandomModel shape = kShapes[1];
  Loaded loaded(shape);
  const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), 1, 1);
  Captures captures = loaded.Pass(paths.captures());
  const Matrix attention = paths.Attention(captures);
  const Index neuron = 5;
  const Index token = 3;
  const auto effect = [&](float c) {
    captures.hidden[1](token, neuron) = c;
    return NeuronDefinition(loaded.tensors, loaded.model->config().vision,
                            loaded.model->config().embed_width, "vision", captures)
        .Effect(1, neuron);
  };
  const Vector gradient = effect(2) - effect(1);
  const Vector wanted = (attention.col(token).transpose() * paths.Directions(neuron)).transpose();
  EXPECT_LT(RelativeError(wanted, gradient), 1e-11);
}

TEST(NeuronPaths, DirectionsByChannelAndAgainstTextsAgree) {
  Loaded loaded(kShapes[1]);
  const NeuronPaths paths(loaded.model->image_tower(), loaded.model->image_readout(), 1, 2);
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  Vector text(paths.embed_width());
  for (Index e = 0; e < text.size(); ++e) text[e] = normal(random);
  const Matrix against = paths.Against(text);
  for (Index j = 0; j < paths.channels(); ++j) {
    const Matrix of_head = paths.DirectionsOfHead(j);  // a channel, without an attention pool
    for (Index n = 0; n < paths.neurons(); ++n) {
      const Matrix of_neuron = paths.Directions(n);
      EXPECT_LT((of_head.row(n) - of_neuron.row(j)).norm(), 1e-13);
      EXPECT_LT((paths.DirectionsByHead(n) - of_neuron).norm(), 1e-13);
      EXPECT_NEAR(against(n, j), of_neuron.row(j) * text, 1e-13);
    }
  }
  EXPECT_EQ(paths.head(0), (HeadId{2, 0}));
  EXPECT_EQ(paths.head(5), (HeadId{3, 1}));
}

// Test 10; a tower of one layer is in collect_test.cc.
TEST(NeuronPaths, RefusesTheLastLayerAndForeignCaptures) {
  Loaded loaded(RandomModel{});
  const Tower& tower = loaded.model->image_tower();
  const Readout& readout = loaded.model->image_readout();
  ExpectError(ErrorCode::kInvalidArgument, "have attention after them",
              [&] { NeuronPaths(tower, readout, 2, 1); });
  ExpectError(ErrorCode::kInvalidArgument, "layer -1", [&] { NeuronPaths(tower, readout, -1, 1); });
  const NeuronPaths paths(tower, readout, 0, 1);
  const Captures others = loaded.Pass(NeuronPaths::CapturesFor({1, 2}));
  ExpectError(ErrorCode::kInvalidArgument, "NeuronPaths::captures()",
              [&] { (void)paths.CoefficientsOf(others); });
}

}  // namespace
}  // namespace cliplens
