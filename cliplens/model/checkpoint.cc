#include "cliplens/model/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"
#include "cliplens/model/checkpoint_files.h"
#include "cliplens/model/conv_stem.h"
#include "cliplens/model/position_grid.h"
#include "cliplens/model/preprocess_config.h"
#include "cliplens/model/tensor_table.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

Tensor ReadTensor(const OpenedCheckpoint& opened, const std::string& name,
                  const std::vector<Index>& expected) {
  const TensorFile& file = *opened.file;
  const std::string full = opened.prefix + name;
  const auto found = file.tensors().find(full);
  if (found == file.tensors().end()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' is missing; the file does not hold the model of its configuration",
                PathText(file.FileOf(full)), Printable(full));
  }
  const std::vector<Index>& shape = found->second.shape;
  // A single number may be written as a list of one.
  const bool single = expected.empty() && shape == std::vector<Index>{1};
  if (shape != expected && !single) {
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' has shape {}, the configuration asks for {}; the weights belong "
                "to another configuration",
                PathText(file.FileOf(full)), Printable(full), ShapeText(shape),
                ShapeText(expected));
  }
  Tensor tensor{expected, file.ReadAsFloat(full)};
  for (const float v : tensor.values) {
    if (!std::isfinite(v)) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor '{}' holds a value that is not finite; the checkpoint is damaged",
                  PathText(file.FileOf(full)), Printable(full));
    }
  }
  return tensor;
}

Tensor ReadRow(const OpenedCheckpoint& opened, const TensorRow& row, Index layer,
               std::set<std::string, std::less<>>& used) {
  const ModelConfig& config = opened.checkpoint.config;
  Tensor tensor{ShapeOf(row, config), {}};
  for (const auto& [name, shape] : TensorsInFile(row, layer, config)) {
    if (name.empty()) {
      Index count = 1;
      for (const Index n : shape) count *= n;
      tensor.values.resize(tensor.values.size() + ToSize(count), 0.0f);
      continue;
    }
    used.insert(opened.prefix + name);
    Tensor read = ReadTensor(opened, name, shape);
    if (tensor.values.empty()) {
      tensor.values = std::move(read.values);
    } else {
      tensor.values.insert(tensor.values.end(), read.values.begin(), read.values.end());
    }
  }
  if (row.transposed) {
    const auto rows = ToSize(tensor.shape[0]);
    const auto columns = ToSize(tensor.shape[1]);
    std::vector<float> turned(tensor.values.size());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) {
        turned[r * columns + c] = tensor.values[c * rows + r];
      }
    }
    tensor.values = std::move(turned);
  }
  return tensor;
}

// Refuses tensors that no row has read: passing over them would give wrong numbers.
void CheckLeftOver(const OpenedCheckpoint& opened, const std::set<std::string, std::less<>>& used) {
  for (const auto& [name, info] : opened.file->tensors()) {
    if (used.contains(name)) continue;
    // Tensors beside the model's own dictionary (an optimizer's state) do not belong to the model.
    if (!name.starts_with(opened.prefix)) continue;
    const std::size_t point = name.rfind('.');
    const std::string_view last =
        std::string_view(name).substr(point == std::string::npos ? 0 : point + 1);
    if (std::ranges::find(opened.family->without_weights, last) !=
        opened.family->without_weights.end())
      continue;
    const std::string_view other = opened.family->other_text;
    if (!opened.checkpoint.config.has_text() && !other.empty() &&
        std::string_view(name).substr(opened.prefix.size()).starts_with(other)) {
      continue;
    }
    if (opened.checkpoint.config.text_decoder &&
        std::string_view(name).substr(opened.prefix.size()).starts_with("text_decoder.")) {
      continue;
    }
    throw Error(ErrorCode::kCorruptData,
                "{}: tensor '{}' {} has no place in the model of its configuration; the two do not "
                "belong together, or the model has parts that this version does not evaluate",
                PathText(opened.file->FileOf(name)), Printable(name), ShapeText(info.shape));
  }
}

// Folds the gains for each channel into the matrix and the bias before them.
void FoldLayerScale(Checkpoint& checkpoint, const std::string& block, const std::string& part) {
  TensorMap& tensors = checkpoint.tensors;
  const auto scale = tensors.find(block + part + ".scale");
  const std::vector<float> gains = std::move(scale->second.values);
  tensors.erase(scale);
  std::vector<float>& weight = tensors.at(block + part + ".out.weight").values;
  std::vector<float>& bias = tensors.at(block + part + ".out.bias").values;
  const std::size_t inputs = weight.size() / gains.size();
  for (std::size_t o = 0; o < gains.size(); ++o) {
    const auto gain = static_cast<double>(gains[o]);
    bias[o] = static_cast<float>(gain * static_cast<double>(bias[o]));
    for (std::size_t i = 0; i < inputs; ++i) {
      float& w = weight[o * inputs + i];
      w = static_cast<float>(gain * static_cast<double>(w));
    }
  }
  const auto finite = [](float v) { return std::isfinite(v); };
  if (!std::ranges::all_of(weight, finite) || !std::ranges::all_of(bias, finite)) {
    throw Error(
        ErrorCode::kCorruptData,
        "{}: the matrix {}{}.out times its gains (LayerScale) is not finite; the checkpoint "
        "is damaged",
        PathText(checkpoint.path), block, part);
  }
}

void FoldLayerScales(Checkpoint& checkpoint) {
  const std::pair<const char*, const TowerConfig*> towers[] = {
      {"vision", &checkpoint.config.vision}, {"text", &checkpoint.config.text}};
  for (const auto& [tower, config] : towers) {
    if (!config->layer_scale) continue;
    for (Index l = 0; l < config->layers; ++l) {
      const std::string block = fmt::format("{}.block.{}.", tower, l);
      FoldLayerScale(checkpoint, block, "attn");
      FoldLayerScale(checkpoint, block, "mlp");
    }
  }
}

// The stored number is a logarithm: every score is multiplied by its exponential.
void CheckLogitScale(const OpenedCheckpoint& opened) {
  if (!opened.checkpoint.config.logit_scale) return;
  const float stored = opened.checkpoint.tensors.at("logit_scale").values.at(0);
  const float scale = std::exp(stored);
  if (std::isfinite(scale) && scale > 0) return;
  const std::string name = opened.prefix + "logit_scale";
  throw Error(ErrorCode::kCorruptData,
              "{}: tensor '{}' is {}, and scores are multiplied by its exponential, {}; the "
              "checkpoint is damaged (100 is usual, stored as 4.6)",
              PathText(opened.file->FileOf(name)), Printable(name), stored, scale);
}

// Pictures of another size from now on.
void ChangeSize(Checkpoint& checkpoint, Index image_size) {
  ModelConfig& config = checkpoint.config;
  PreprocessConfig& preprocess = config.preprocess;
  if (image_size < config.patch_size || image_size > kMaxImageSize) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: pictures of {} x {} asked for; {} (a patch) to {} are possible",
                PathText(checkpoint.path), image_size, image_size, config.patch_size,
                kMaxImageSize);
  }
  if (config.stem.kind == StemKind::kMbConv && image_size % config.patch_size != 0) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "{}: pictures of {} x {} asked for; the convolutions of its image tower halve sides "
        "until they are a {}th, so multiples of {} are possible",
        PathText(checkpoint.path), image_size, image_size, config.patch_size, config.patch_size);
  }
  // A margin that the crop takes off stays in proportion; 0 stands for the size itself.
  if (preprocess.resize_size > 0) {
    preprocess.resize_size =
        std::max<Index>(1, (preprocess.resize_size * image_size + preprocess.image_size / 2) /
                               preprocess.image_size);
  }
  const TokenLayout placed = config.placed();
  preprocess.image_size = image_size;
  if (config.placed().grid == placed.grid || checkpoint.tensors.empty()) return;
  Tensor& positions = checkpoint.tensors.at("vision.position");
  const Array<float, 2> resized = ResizePositions(
      {positions.values.data(), {placed.tokens(), config.vision.width}}, placed, config.grid());
  positions = {{config.placed().tokens(), config.vision.width},
               {resized.flat().begin(), resized.flat().end()}};
}

void Apply(const PictureChoice& pictures, Checkpoint& checkpoint) {
  checkpoint.pictures = pictures;
  if (pictures.image_size > 0) ChangeSize(checkpoint, pictures.image_size);
  PreprocessConfig& preprocess = checkpoint.config.preprocess;
  const bool torchvision = pictures.backend == ResizeBackend::kTorchvision;
  if (torchvision && preprocess.rule != PreprocessRule::kHuggingFace) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: --resize-backend torchvision is a choice of transformers, for directories of "
                "Hugging Face's; open_clip resizes this model's pictures with Pillow",
                PathText(checkpoint.path));
  }
  preprocess.backend = pictures.backend;
}

// Begins with "text." if it is the text tower's.
constexpr std::string_view kText = "text.";

// Gives tensors by name to what is called with each, in the order of their names.
using TensorsInOrder = std::function<void(
    const std::function<void(const std::string& name, const Tensor& tensor)>& each)>;

// `text`: those of the text tower that are not kept.
std::string Fingerprint(const Checkpoint& checkpoint, const TensorsInOrder& text) {
  const ModelConfig& c = checkpoint.config;
  const auto tower = [](const TowerConfig& t) {
    return Json{t.layers, t.width, t.heads, t.mlp_width, t.norm_epsilon};
  };
  Json sizes = {
      {"embed_width", c.embed_width}, {"quick_gelu", c.vision.activation == Activation::kQuickGelu},
      {"patch_size", c.patch_size},   {"tokens", c.tokens()},
      {"ln_pre", c.ln_pre},           {"vision", tower(c.vision)},
      {"text", tower(c.text)}};
  // What CLIP's own towers have alike is left out, so that their fingerprints stay.
  if (c.pool.kind != Pooling::kToken) {
    sizes["pool"] = {NameOf(c.pool.kind), c.pool.heads, c.pool.mlp_width};
  }
  if (c.pool.coca) sizes["pool_coca"] = true;
  if (c.text_class) sizes["text_class"] = true;
  if (c.vision.activation == Activation::kGeluTanh) sizes["gelu_tanh"] = true;
  if (c.has_text() && c.text.activation != c.vision.activation) {
    sizes["text_activation"] = NameOf(c.text.activation);
  }
  if (const auto& rotary = c.vision.rotary) {
    sizes["rotary"] = {rotary->reference, rotary->offset, rotary->x_first};
  }
  if (c.vision.sub_norm) sizes["sub_norm"] = true;
  if (c.vision.post_norm) sizes["post_norm"] = true;
  if (c.registers > 0) sizes["registers"] = c.registers;
  if (c.vision.gated_mlp == GatedMlp::kSwiGlu) sizes["gated_mlp"] = true;
  if (c.vision.gated_mlp == GatedMlp::kGeGlu) sizes["gated_mlp"] = "geglu";
  if (c.stem.kind != StemKind::kPatches) sizes["stem"] = NameOf(c.stem.kind);
  if (!c.causal) sizes["causal"] = false;
  if (c.reads_padding) sizes["reads_padding"] = true;
  Hasher hasher;
  hasher.Update(DumpJson(sizes));
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    hasher.Update(name);
    hasher.Update(AsBytes(tensor.values));
  };
  const auto place = checkpoint.tensors.lower_bound(std::string(kText));
  for (auto at = checkpoint.tensors.begin(); at != place; ++at) add(at->first, at->second);
  text(add);
  for (auto at = place; at != checkpoint.tensors.end(); ++at) add(at->first, at->second);
  return hasher.Digest();
}

// The power of two that brings numbers of this sum of squares near 1 on average; 0 where they are
// within the range that models have, whose weights stay as they are.
int ExponentOf(double squares, std::size_t count) {
  constexpr int kOrdinary = 12;
  if (!(squares > 0)) return 0;
  const int exponent =
      static_cast<int>(std::lround(-0.5 * std::log2(squares / static_cast<double>(count))));
  return std::abs(exponent) <= kOrdinary ? 0 : exponent;
}

void Scale(float& value, int exponent) { value = std::ldexp(value, exponent); }

// The same function with scales of heads and projection that the store's numbers are made for:
// values times 2^n with output matrices times 2^-n are the same head, and the projection's length
// is divided out of embeddings. Powers of two change no other bit of the forward pass.
void BalanceScales(Checkpoint& checkpoint) {
  const TowerConfig& tower = checkpoint.config.vision;
  const auto width = ToSize(tower.width);
  const auto head_width = ToSize(tower.head_width());
  const auto values = [&](const std::string& name) -> std::vector<float>& {
    return checkpoint.tensors.at("vision." + name).values;
  };
  for (Index l = 0; l < tower.layers; ++l) {
    const std::string block = fmt::format("block.{}.attn.", l);
    std::vector<float>& in = values(block + "in.weight");
    std::vector<float>& bias = values(block + "in.bias");
    std::vector<float>& out = values(block + "out.weight");
    for (std::size_t first = 0; first < width; first += head_width) {
      double squares = 0;
      for (std::size_t o = 0; o < width; ++o) {
        for (std::size_t k = first; k < first + head_width; ++k) {
          squares += double{out[o * width + k]} * double{out[o * width + k]};
        }
      }
      const int exponent = ExponentOf(squares, head_width);
      if (exponent == 0) continue;
      for (std::size_t o = 0; o < width; ++o) {
        for (std::size_t k = first; k < first + head_width; ++k)
          Scale(out[o * width + k], exponent);
      }
      for (std::size_t k = 2 * width + first; k < 2 * width + first + head_width; ++k) {
        for (std::size_t i = 0; i < width; ++i) Scale(in[k * width + i], -exponent);
        Scale(bias[k], -exponent);
      }
    }
  }
  if (checkpoint.config.pool.kind == Pooling::kAttention) return;  // its factors are contributions
  std::vector<float>& projection = values("projection");
  const std::vector<float>& gain = values("ln_post.gain");
  const std::size_t columns = projection.size() / width;
  double squares = 0;
  for (std::size_t i = 0; i < projection.size(); ++i) {
    const double product = double{gain[i / columns]} * double{projection[i]};
    squares += product * product;
  }
  const int exponent = ExponentOf(squares, columns);
  if (exponent == 0) return;
  for (float& value : projection) Scale(value, exponent);
}

}  // namespace

const float* ValuesOf(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.values.empty()) {
    throw Error(ErrorCode::kInternal, "tensor '{}' was not loaded", name);
  }
  return found->second.values.data();
}

ModelConfig LoadConfig(const fs::path& path, const std::string& architecture,
                       const std::string& weights, const PictureChoice& pictures) {
  Checkpoint checkpoint =
      OpenCheckpoint(path, architecture, weights, /*with_weights=*/false).checkpoint;
  Apply(pictures, checkpoint);
  return checkpoint.config;
}

Checkpoint LoadCheckpoint(const fs::path& path, const std::string& architecture,
                          const std::string& weights, const PictureChoice& pictures,
                          bool with_text) {
  OpenedCheckpoint opened = OpenCheckpoint(path, architecture, weights, /*with_weights=*/true);
  Checkpoint& checkpoint = opened.checkpoint;
  checkpoint.with_text = with_text;
  std::set<std::string, std::less<>> used;
  // Gains are folded into the matrices before these are counted, so both must be there.
  const bool pass_over_text = !with_text && !checkpoint.config.text.layer_scale;
  std::map<std::string, std::pair<const TensorRow*, Index>> passed_over;
  for (const TensorRow& row : opened.family->rows) {
    if (!Uses(checkpoint.config, row)) continue;
    for (Index l = 0; l < LayersOf(row, checkpoint.config); ++l) {
      const std::string name = WithLayer(row.name, l);
      if (pass_over_text && name.starts_with(kText)) {
        passed_over[name] = {&row, l};
        for (const TensorInFile& tensor : TensorsInFile(row, l, checkpoint.config)) {
          used.insert(opened.prefix + tensor.name);
        }
        continue;
      }
      checkpoint.tensors[name] = ReadRow(opened, row, l, used);
    }
  }
  CheckLeftOver(opened, used);
  CheckLogitScale(opened);
  FoldLayerScales(checkpoint);
  FoldBatchNorms(checkpoint.tensors, PathText(checkpoint.path));
  Apply(pictures, checkpoint);
  checkpoint.fingerprint = Fingerprint(checkpoint, [&](const auto& each) {
    for (const auto& [name, place] : passed_over) {
      each(name, ReadRow(opened, *place.first, place.second, used));
    }
  });
  if (!with_text) {
    std::erase_if(checkpoint.tensors,
                  [](const auto& tensor) { return tensor.first.starts_with(kText); });
  }
  BalanceScales(checkpoint);
  // Read-outs have a projection, and the product with this one changes no bit.
  if (with_text && checkpoint.config.has_text() && !checkpoint.config.text_projection) {
    const Index width = checkpoint.config.embed_width;
    Tensor& projection = checkpoint.tensors["text.projection"];
    projection = {{width, width}, std::vector<float>(ToSize(width * width))};
    for (Index e = 0; e < width; ++e) At(projection.values, e * width + e) = 1.0f;
  }
  return std::move(checkpoint);
}

}  // namespace cliplens
