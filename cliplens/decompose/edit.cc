#include "cliplens/decompose/edit.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/safetensors.h"
#include "cliplens/io/sealed_json.h"
#include "cliplens/model/nn/matmul.h"

namespace cliplens {
namespace {

using Kind = EditTarget::Kind;

constexpr char kEditFormat[] = "cliplens.edit/1";
constexpr Index kMaxBytes = Index{32} << 20;
constexpr Index kMaxSize = 65'536;  // of layers, heads and widths that a file may claim
constexpr std::size_t kMaxText = 4'096;
constexpr double kMaxScale = 1e6;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<int> NumberOf(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) {
    return std::nullopt;
  }
  return value;
}

// Sorted, without the heads of layers that are there whole.
std::vector<EditTarget> WithoutCovered(const std::set<EditTarget>& chosen) {
  std::vector<EditTarget> targets;
  for (const EditTarget& t : chosen) {
    if (t.kind == Kind::kHead && chosen.contains({t.layer, Kind::kLayer, 0})) continue;
    targets.push_back(t);
  }
  return targets;
}

Edit EditOf(const StoreInfo& store, const Basis& basis) {
  Edit edit;
  edit.model_name = store.model_name;
  edit.fingerprint = store.fingerprint;
  edit.layers = basis.layers();
  edit.heads = basis.num_heads();
  edit.embed_width = basis.embed_width();
  return edit;
}

void CheckTargets(std::span<const EditTarget> targets) {
  if (targets.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "an edit of nothing: name a head, layer, MLP or INPUT");
  }
}

Index Number(const Json& object, const char* key, Index low, Index high, const std::string& name) {
  const auto n = JsonField<std::int64_t>(object, key, name);
  if (n < low || n > high) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' is {}, outside of {} to {}", name, key, n, low,
                high);
  }
  return Index{n};
}

std::string BoundedText(const Json& object, const char* key, const std::string& name) {
  std::string text = JsonField<std::string>(object, key, name);
  if (text.size() > kMaxText) {
    throw Error(ErrorCode::kCorruptData, "{}: '{}' has {} bytes, at most {} are allowed", name, key,
                text.size(), kMaxText);
  }
  return text;
}

// The target of this name; nothing for a name that NameOf does not write.
std::optional<EditTarget> TargetNamed(std::string_view name, Index layers, Index heads) {
  if (name == kInputName) return EditTarget{0, Kind::kInput, 0};
  if (!name.starts_with('L')) return std::nullopt;
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::optional<int> layer = NumberOf(name.substr(1, dot - 1));
  if (!layer || *layer >= layers) return std::nullopt;
  EditTarget target{*layer, Kind::kLayer, 0};
  if (dot < name.size()) {
    const std::string_view rest = name.substr(dot + 1);
    if (rest == "MLP") {
      target.kind = Kind::kMlp;
    } else {
      const auto head = rest.starts_with('H') ? NumberOf(rest.substr(1)) : std::nullopt;
      if (!head || *head >= heads) return std::nullopt;
      target = {*layer, Kind::kHead, *head};
    }
  }
  // Not with leading zeros, which would let one target stand under two names.
  if (NameOf(target) != name) return std::nullopt;
  return target;
}

EditComponent ParseComponent(const Json& json, const Edit& edit, const std::string& name) {
  const std::string text = BoundedText(json, "component", name);
  const std::optional<EditTarget> target = TargetNamed(text, edit.layers, edit.heads);
  if (!target) {
    throw Error(ErrorCode::kCorruptData, "{}: component '{}' is none of a model of {} x {} heads",
                name, Printable(text), edit.layers, edit.heads);
  }
  EditComponent component;
  component.target = *target;
  const std::string mode = BoundedText(json, "mode", name);
  if (mode == "scale") {
    component.mean = false;
    component.scale = JsonField<double>(json, "scale", name);
    if (!(std::abs(component.scale) <= kMaxScale)) {
      throw Error(ErrorCode::kCorruptData, "{}: {} is scaled by {}, outside of ±{}", name, text,
                  component.scale, kMaxScale);
    }
    return component;
  }
  if (mode != "mean") {
    throw Error(ErrorCode::kCorruptData, "{}: {} has the mode '{}', mean or scale was expected",
                name, text, Printable(mode));
  }
  const Json numbers = JsonField<Json>(json, "mean", name);
  if (!numbers.is_array() || static_cast<Index>(numbers.size()) != edit.embed_width) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the mean of {} has {} numbers, the embedding has {}; make the edit again",
                name, text, numbers.is_array() ? numbers.size() : 0, edit.embed_width);
  }
  component.constant.reserve(numbers.size());
  for (const Json& number : numbers) {
    const float value = number.is_number() ? number.get<float>() : NAN;
    if (!std::isfinite(value)) {
      throw Error(ErrorCode::kCorruptData, "{}: the mean of {} holds {}, not a number of 32 bits",
                  name, text, JsonExcerpt(number));
    }
    component.constant.push_back(value);
  }
  return component;
}

void CheckSizes(const Edit& edit, Index layers, Index heads, Index embed_width) {
  if (edit.layers != layers || edit.heads != heads || edit.embed_width != embed_width) {
    throw Error(ErrorCode::kInvalidArgument,
                "an edit of {} x {} heads and an embedding of {} for a model of {} x {} and {}",
                edit.layers, edit.heads, edit.embed_width, layers, heads, embed_width);
  }
}

Vector ConstantOf(const Edit& edit) {
  Vector constant = Vector::Zero(edit.embed_width);
  for (const EditComponent& c : edit.components) {
    for (std::size_t k = 0; k < c.constant.size(); ++k) {
      constant[static_cast<Index>(k)] += static_cast<double>(c.constant[k]);
    }
  }
  return constant;
}

}  // namespace

std::string NameOf(const EditTarget& target) {
  switch (target.kind) {
    case Kind::kInput:
      return kInputName;
    case Kind::kLayer:
      return fmt::format("L{}", target.layer);
    case Kind::kHead:
      return HeadName({target.layer, target.head});
    case Kind::kMlp:
      return MlpName(target.layer);
  }
  return {};
}

std::vector<EditTarget> EditTargetsOf(std::span<const HeadId> heads) {
  std::vector<EditTarget> targets;
  for (const HeadId& id : heads) targets.push_back({id.layer, Kind::kHead, id.head});
  std::ranges::sort(targets);
  return targets;
}

std::vector<EditTarget> ParseEditTargets(std::string_view text, int layers, int heads) {
  std::set<EditTarget> chosen;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = Trim(text.substr(begin, end - begin));
    begin = end + 1;
    if (part == "mlps") {
      for (int l = 0; l < layers; ++l) chosen.insert({l, Kind::kMlp, 0});
    } else if (const auto target = TargetNamed(part, layers, heads)) {
      chosen.insert(*target);
    } else {
      // Layers by range, last-N and all: heads of whole layers.
      for (const HeadId& id : ParseHeads(part, layers, heads)) {
        chosen.insert({id.layer, Kind::kLayer, 0});
      }
    }
  }
  return WithoutCovered(chosen);
}

std::string Edit::Names() const {
  std::string names;
  for (const EditComponent& c : components) {
    names += (names.empty() ? "" : ", ") + NameOf(c.target);
  }
  return names;
}

ContributionMeans::ContributionMeans(const Basis& basis, const Statistics& statistics)
    : basis_(basis), total_(statistics.Total(basis)) {}

Index ContributionMeans::images() const { return static_cast<Index>(total_.embedding.count); }

Vector ContributionMeans::Of(const EditTarget& target) const {
  const auto head = [&](Index h) -> Vector {
    const HeadId id{target.layer, static_cast<int>(h)};
    const auto i = ToSize(target.layer * basis_.num_heads() + h);
    return AsEigen(basis_.at(id)).cast<double>().transpose() * total_.heads[i].mean;
  };
  switch (target.kind) {
    case Kind::kInput:
      return total_.mlps.front().mean;
    case Kind::kMlp:
      return total_.mlps[ToSize(target.layer) + 1].mean;
    case Kind::kHead:
      return head(target.head);
    case Kind::kLayer:
      break;
  }
  Vector sum = Vector::Zero(basis_.embed_width());
  for (Index h = 0; h < basis_.num_heads(); ++h) sum += head(h);
  return sum;
}

double ContributionMeans::VarianceOf(const EditTarget& target) const {
  const auto of_trace = [](const TraceMoments& m) { return m.count > 0 ? m.trace / m.count : 0; };
  const auto head = [&](Index h) {
    const HeadId id{target.layer, static_cast<int>(h)};
    const Moments& m = At(total_.heads, target.layer * basis_.num_heads() + h);
    if (m.count <= 0) return 0.0;
    const Matrix b = AsEigen(basis_.at(id)).cast<double>();
    return (b * b.transpose()).cwiseProduct(m.scatter).sum() / m.count;
  };
  switch (target.kind) {
    case Kind::kInput:
      return of_trace(total_.mlps.front());
    case Kind::kMlp:
      return of_trace(total_.mlps[ToSize(target.layer) + 1]);
    case Kind::kHead:
      return head(target.head);
    case Kind::kLayer:
      break;
  }
  double sum = 0;
  for (Index h = 0; h < basis_.num_heads(); ++h) sum += head(h);
  return sum;
}

Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const Statistics& means,
                  std::span<const EditTarget> targets) {
  return MakeMeanEdit(store, basis, ContributionMeans(basis, means), targets);
}

Edit MakeMeanEdit(const StoreInfo& store, const Basis& basis, const ContributionMeans& means,
                  std::span<const EditTarget> targets) {
  CheckTargets(targets);
  if (means.images() == 0) {
    throw Error(ErrorCode::kPrecondition, "an edit by means of no picture");
  }
  Edit edit = EditOf(store, basis);
  edit.means_images = means.images();
  for (const EditTarget& target : targets) {
    EditComponent component;
    component.target = target;
    const Vector mean = means.Of(target);
    for (const double v : mean) component.constant.push_back(static_cast<float>(v));
    edit.components.push_back(std::move(component));
  }
  return edit;
}

Edit MakeScaleEdit(const StoreInfo& store, const Basis& basis, double scale,
                   std::span<const EditTarget> targets) {
  CheckTargets(targets);
  if (!(std::abs(scale) <= kMaxScale)) {
    throw Error(ErrorCode::kInvalidArgument, "an edit that scales by {}; ±{} at most", scale,
                kMaxScale);
  }
  Edit edit = EditOf(store, basis);
  for (const EditTarget& target : targets) {
    EditComponent component;
    component.target = target;
    component.mean = false;
    component.scale = scale;
    edit.components.push_back(std::move(component));
  }
  return edit;
}

std::string EditText(const Edit& edit) {
  Json json = {{"format", kEditFormat},
               {"model",
                {{"name", edit.model_name},
                 {"fingerprint", edit.fingerprint},
                 {"layers", edit.layers},
                 {"heads", edit.heads},
                 {"embed_width", edit.embed_width}}}};
  if (edit.means_images > 0) {
    json["means"] = {{"store", edit.means}, {"images", edit.means_images}};
  }
  if (!edit.note.empty()) json["note"] = edit.note;
  json["components"] = Json::array();
  for (const EditComponent& c : edit.components) {
    Json entry = {{"component", NameOf(c.target)}, {"mode", c.mean ? "mean" : "scale"}};
    if (c.mean) {
      // As few digits as give the float back.
      Json& mean = entry["mean"] = Json::array();
      for (const float v : c.constant) mean.push_back(std::stod(fmt::format("{:.9g}", v)));
    } else {
      entry["scale"] = c.scale;
    }
    json["components"].push_back(std::move(entry));
  }
  return SealJson(std::move(json));
}

void WriteEdit(const std::filesystem::path& path, const Edit& edit) {
  WriteFileAtomically(path, EditText(edit));
}

Edit ReadEdit(const std::filesystem::path& path) {
  return ParseEdit(ReadTextFile(path, kMaxBytes), Printable(path.native(), 1024));
}

Edit ParseEdit(std::string text, const std::string& name) {
  const Json json = ParseSealedJson(std::move(text), name);
  const std::string format = BoundedText(json, "format", name);
  if (format != kEditFormat) {
    throw Error(
        format.starts_with("cliplens.edit/") ? ErrorCode::kUnsupported : ErrorCode::kCorruptData,
        "{}: its format is '{}', {} was expected; make it with 'cliplens edit'", name,
        Printable(format), kEditFormat);
  }
  Edit edit;
  const Json model = JsonField<Json>(json, "model", name);
  edit.model_name = BoundedText(model, "name", name);
  edit.fingerprint = BoundedText(model, "fingerprint", name);
  edit.layers = Number(model, "layers", 1, kMaxSize, name);
  edit.heads = Number(model, "heads", 1, kMaxSize, name);
  edit.embed_width = Number(model, "embed_width", 1, kMaxSize, name);
  if (json.contains("means")) {
    const Json means = JsonField<Json>(json, "means", name);
    edit.means = BoundedText(means, "store", name);
    edit.means_images = Number(means, "images", 1, Index{1} << 40, name);
  }
  if (json.contains("note")) edit.note = BoundedText(json, "note", name);
  const auto components = json.find("components");
  if (components == json.end() || !components->is_array() || components->empty()) {
    throw Error(ErrorCode::kCorruptData, "{}: 'components' is no list with a component", name);
  }
  std::set<EditTarget> named;
  for (const Json& entry : *components) {
    edit.components.push_back(ParseComponent(entry, edit, name));
    const EditComponent& c = edit.components.back();
    if (c.mean && edit.means_images == 0) {
      throw Error(ErrorCode::kCorruptData, "{}: has means, but \"means\" does not say of what",
                  name);
    }
    if (!named.insert(c.target).second) {
      throw Error(ErrorCode::kCorruptData, "{}: {} is edited twice", name, NameOf(c.target));
    }
  }
  if (WithoutCovered(named).size() != named.size()) {
    throw Error(ErrorCode::kCorruptData, "{}: a head is edited alone and with its whole layer",
                name);
  }
  std::ranges::sort(edit.components, {}, &EditComponent::target);
  return edit;
}

void CheckEditIsFor(const Edit& edit, const std::string& path, const std::string& fingerprint,
                    const std::string& place) {
  if (edit.fingerprint != fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: an edit of model {} ({}), {} is {}; make an edit of this model", path,
                Printable(edit.model_name), Printable(edit.fingerprint), place, fingerprint);
  }
}

void NormalizeRow(std::span<float> row) {
  double square = 0;
  for (const float v : row) square += static_cast<double>(v) * static_cast<double>(v);
  const double length = std::sqrt(square);
  if (!(length > 0) || !std::isfinite(length)) {
    throw Error(ErrorCode::kPrecondition,
                "the edit leaves a row of length {}, which cannot be made unit; --no-normalize "
                "gives the rows as they are",
                length);
  }
  for (float& v : row) v = static_cast<float>(static_cast<double>(v) / length);
}

ModelEdit::ModelEdit(const ClipModel& model, const Edit& edit) : model_(model) {
  const ModelConfig& config = model.config();
  CheckSizes(edit, config.vision.layers, config.vision.heads, config.embed_width);
  const Index width = config.vision.width;
  const Index embed_width = config.embed_width;
  const auto components = static_cast<double>(2 * config.vision.layers + 1);  // J
  const auto heads = static_cast<double>(config.vision.heads);
  const auto values = [&](const std::string& name) -> const std::vector<float>& {
    return model.tensors().at(name).values;
  };
  constant_ = ConstantOf(edit);
  std::vector<double> bias(ToSize(width), 0.0);
  for (const EditComponent& c : edit.components) {
    const double weight = c.weight();
    parts_.push_back({c.target, static_cast<float>(weight)});
    if (c.target.kind == Kind::kInput || c.target.kind == Kind::kMlp) {
      share_ += weight / components;
      continue;
    }
    const double of_layer = c.target.kind == Kind::kLayer ? weight : weight / heads;
    share_ += of_layer / components;
    const std::vector<float>& out =
        values(fmt::format("vision.block.{}.attn.out.bias", c.target.layer));
    for (std::size_t d = 0; d < bias.size(); ++d) {
      bias[d] += of_layer * static_cast<double>(out[d]);
    }
  }
  bias_.assign(bias.begin(), bias.end());

  const std::vector<float>& gain = values("vision.ln_post.gain");
  const std::vector<float>& ln_bias = values("vision.ln_post.bias");
  const std::vector<float>& projection = values("vision.projection");
  scaled_projection_ = Array<float, 2>({width, embed_width});
  Vector p_gain = Vector::Zero(embed_width);
  Vector p_bias = Vector::Zero(embed_width);
  for (Index d = 0; d < width; ++d) {
    for (Index e = 0; e < embed_width; ++e) {
      const double p = At(projection, d * embed_width + e);
      const double g = At(gain, d);
      scaled_projection_(d, e) = static_cast<float>(g * p);
      p_gain[e] += g * p;
      p_bias[e] += static_cast<double>(At(ln_bias, d)) * p;
    }
  }
  for (Index e = 0; e < embed_width; ++e) {
    p_gain_.push_back(static_cast<float>(p_gain[e]));
    p_bias_.push_back(static_cast<float>(p_bias[e]));
  }
}

void ModelEdit::Apply(const Activations& a, std::span<float> embedding, Scratch& scratch) const {
  const TowerConfig& tower = model_.config().vision;
  const Index width = tower.width;
  const Index head_width = tower.head_width();
  const Index inner = tower.heads * head_width;
  const auto embed_width = static_cast<Index>(embedding.size());
  // Σ w (r or z W_O + its share of b_O) in the model's width: what is projected is one vector.
  std::vector<float>& row = scratch.row;
  row = bias_;
  std::vector<float>& change = scratch.change;
  for (const Part& part : parts_) {
    const EditTarget& t = part.target;
    if (t.kind == Kind::kInput || t.kind == Kind::kMlp) {
      const std::span<const float> r = a.mlp.row(t.kind == Kind::kInput ? 0 : t.layer + 1);
      for (Index d = 0; d < width; ++d) {
        At(row, d) += part.weight * At(r, d);
      }
      continue;
    }
    const bool layer = t.kind == Kind::kLayer;
    const Index k = layer ? inner : head_width;
    const std::vector<float>& out =
        model_.tensors().at(fmt::format("vision.block.{}.attn.out.weight", t.layer)).values;
    nn::Gemm({.m = 1,
              .n = width,
              .k = k,
              .a = a.z[t.layer].row(layer ? 0 : t.head).data(),
              .a_stride = k,
              .b = out.data() + (layer ? 0 : t.head * head_width),
              .b_stride = inner,
              .transpose_b = true,
              .c = row.data(),
              .c_stride = width,
              .alpha = part.weight,
              .beta = 1});
  }
  change.resize(embedding.size());
  nn::Gemm({.m = 1,
            .n = embed_width,
            .k = width,
            .a = row.data(),
            .a_stride = width,
            .b = scaled_projection_.data(),
            .b_stride = embed_width,
            .c = change.data(),
            .c_stride = embed_width});
  const double scale = 1.0 / (a.sigma * a.norm);
  for (std::size_t e = 0; e < embedding.size(); ++e) {
    const double of_sum =
        (static_cast<double>(change[e]) - share_ * a.mean * static_cast<double>(p_gain_[e])) *
            scale +
        share_ * static_cast<double>(p_bias_[e]) / a.norm;
    embedding[e] = static_cast<float>(static_cast<double>(embedding[e]) - of_sum +
                                      constant_[static_cast<Index>(e)]);
  }
}

StoreEdit::StoreEdit(const Basis& basis, const Edit& edit)
    : edit_(edit), constant_(ConstantOf(edit)) {
  CheckSizes(edit, basis.layers(), basis.num_heads(), basis.embed_width());
  for (const EditComponent& c : edit.components) {
    const EditTarget& t = c.target;
    const auto add = [&](Index h) {
      heads_.push_back({t.layer, static_cast<int>(h)});
      changes_.emplace_back(-c.weight() * AsEigen(basis.at(heads_.back())).cast<double>());
    };
    if (t.kind == Kind::kHead) add(t.head);
    for (Index h = 0; t.kind == Kind::kLayer && h < basis.num_heads(); ++h) add(h);
    if (t.kind == Kind::kInput || t.kind == Kind::kMlp) {
      mlps_.push_back(t.kind == Kind::kInput ? 0 : t.layer + 1);
      mlp_weights_.push_back(c.weight());
    }
  }
}

Vector StoreEdit::Change(const FactorBlock& block, Index b) const {
  Vector change = constant_;
  const std::span<const float> ln = block.ln.row(b);
  std::vector<double> factor(ToSize(block.head_z.dim(3) + kExtraFactors));
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    FillFactor(block.head_z.view()[heads_[i].layer][heads_[i].head].row(b), ln[0], ln[1], ln[2],
               factor);
    change.noalias() += changes_[i].transpose() *
                        Eigen::Map<const Vector>(factor.data(), static_cast<Index>(factor.size()));
  }
  for (std::size_t j = 0; j < mlps_.size(); ++j) {
    const std::span<const float> row = block.mlp[mlps_[j]].row(b);
    for (Index e = 0; e < change.size(); ++e) {
      change[e] -= mlp_weights_[j] * static_cast<double>(At(row, e));
    }
  }
  return change;
}

void StoreEdit::EditRow(const FactorBlock& block, Index b, bool normalize,
                        std::span<float> embedding) const {
  const Vector change = Change(block, b);
  for (std::size_t e = 0; e < embedding.size(); ++e) {
    embedding[e] =
        static_cast<float>(static_cast<double>(embedding[e]) + change[static_cast<Index>(e)]);
  }
  if (normalize) NormalizeRow(embedding);
}

void StoreEdit::EditContributions(ArrayView<float, 3> heads, ArrayView<float, 2> mlps) const {
  const auto edit = [](std::span<float> row, const EditComponent& c, Index parts) {
    for (std::size_t e = 0; e < row.size(); ++e) {
      const double constant = c.constant.empty()
                                  ? 0.0
                                  : static_cast<double>(c.constant[e]) / static_cast<double>(parts);
      row[e] = static_cast<float>((1.0 - c.weight()) * static_cast<double>(row[e]) + constant);
    }
  };
  for (const EditComponent& c : edit_.components) {
    const EditTarget& t = c.target;
    if (t.kind == Kind::kInput || t.kind == Kind::kMlp) {
      edit(mlps.row(t.kind == Kind::kInput ? 0 : t.layer + 1), c, 1);
    } else if (t.kind == Kind::kHead) {
      edit(heads[t.layer].row(t.head), c, 1);
    } else {
      for (Index h = 0; h < edit_.heads; ++h) edit(heads[t.layer].row(h), c, edit_.heads);
    }
  }
}

Array<float, 2> EditedRows(const Store& store, const Edit& edit, bool normalize) {
  const StoreEdit of(store.basis(), edit);
  Array<float, 2> rows({store.info().images, store.basis().embed_width()});
  Index at = 0;
  for (Index s = 0; s < store.num_shards(); ++s) {
    const FactorBlock block = store.ReadShard(s);
    for (Index b = 0; b < block.images(); ++b, ++at) {
      std::ranges::copy(block.embedding.row(b), rows.row(at).data());
      of.EditRow(block, b, normalize, rows.row(at));
    }
  }
  return rows;
}

void WriteEditTensors(const std::filesystem::path& path, const StoreEdit& edit) {
  std::vector<float> changes, weights, constant;
  std::vector<std::int32_t> heads, mlps;
  Index factor_width = 0;
  for (const Matrix& change : edit.changes()) {
    factor_width = change.rows();
    for (Index i = 0; i < change.size(); ++i) {
      changes.push_back(static_cast<float>(change.data()[i]));
    }
  }
  for (const HeadId& id : edit.heads()) {
    heads.push_back(id.layer);
    heads.push_back(id.head);
  }
  for (const Index j : edit.mlps()) mlps.push_back(static_cast<std::int32_t>(j));
  for (const double w : edit.mlp_weights()) weights.push_back(static_cast<float>(w));
  for (const double v : edit.constant()) constant.push_back(static_cast<float>(v));
  const auto bytes = [](const auto& values) {
    return std::span<const std::uint8_t>(reinterpret_cast<const std::uint8_t*>(values.data()),
                                         values.size() * sizeof(values[0]));
  };
  const auto num_heads = static_cast<Index>(edit.heads().size());
  const auto num_mlps = static_cast<Index>(edit.mlps().size());
  const TensorToWrite tensors[] = {
      {"changes",
       DataType::kF32,
       {num_heads, factor_width, edit.constant().size()},
       bytes(changes)},
      {"heads", DataType::kI32, {num_heads, 2}, bytes(heads)},
      {"mlps", DataType::kI32, {num_mlps}, bytes(mlps)},
      {"mlp_weights", DataType::kF32, {num_mlps}, bytes(weights)},
      {"constant", DataType::kF32, {edit.constant().size()}, bytes(constant)}};
  WriteSafetensors(path, tensors);
}

}  // namespace cliplens
