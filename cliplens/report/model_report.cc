#include "cliplens/report/model_report.h"

#include <cstdint>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/component.h"
#include "cliplens/dataset/on_error.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

std::vector<std::int32_t> IdsOf(const Tokens& tokens) {
  return {tokens.ids.begin(), tokens.ids.begin() + tokens.count};
}

const char* ActivationText(const TowerConfig& tower) {
  if (tower.gated_mlp == GatedMlp::kSwiGlu) return "SwiGLU";
  if (tower.gated_mlp == GatedMlp::kGeGlu) return "GeGLU";
  switch (tower.activation) {
    case Activation::kGelu:
      return "GELU";
    case Activation::kQuickGelu:
      return "QuickGELU";
    case Activation::kGeluTanh:
      break;
  }
  return "GELU by tanh";
}

// What the embedding is a sum of.
std::string SumText(const ModelConfig& c) {
  const Index heads = c.vision.layers * c.vision.heads;
  const bool pool_mlp = c.pool.kind == Pooling::kAttention && c.pool.mlp_width > 0;
  const bool stem = c.stem.kind != StemKind::kPatches;
  return fmt::format("INPUT{}, {} heads and {} MLPs{}",
                     stem ? " (what the convolutions make, which is not split)" : "", heads,
                     c.vision.layers,
                     pool_mlp ? ", POOL.MLP (the MLP behind the pool, which is not split)" : "");
}

std::string PoolText(const ModelConfig& c) {
  switch (c.pool.kind) {
    case Pooling::kToken:
      return "the class token's row";
    case Pooling::kAverage:
      return "the mean of the patches' rows";
    case Pooling::kNormedAverage:
      return "the mean of the patches' rows behind the final LayerNorm";
    case Pooling::kAttention:
      break;
  }
  return fmt::format("attention of {} heads over all rows{}", c.pool.heads,
                     c.pool.coca            ? ", then a LayerNorm and a projection"
                     : c.pool.mlp_width > 0 ? fmt::format(", then an MLP of {}", c.pool.mlp_width)
                                            : "");
}

std::string TextTowerText(const ModelConfig& c) {
  if (!c.has_text()) return "none that is evaluated: " + c.other_text;
  return fmt::format("{} layers x {} heads of {}, width {}, MLP {}, context {}, vocabulary {}",
                     c.text.layers, c.text.heads, c.text.head_width(), c.text.width,
                     c.text.mlp_width, c.context_length, c.vocabulary_size);
}

}  // namespace

Json InfoJson(const ModelInfo& info) {
  Json heads = Json::array();
  for (Index l = 0; l < info.ranks.dim(0); ++l) {
    for (Index h = 0; h < info.ranks.dim(1); ++h) {
      heads.push_back({{"head", HeadName({static_cast<int>(l), static_cast<int>(h)})},
                       {"rank", info.ranks(l, h)}});
    }
  }
  return {{"format", "cliplens.info/1"},
          {"name", info.name},
          {"layout", info.layout},
          {"files", info.files},
          {"fingerprint", info.fingerprint},
          {"config", ToJson(info.config)},
          {"parameters",
           {{"vision", info.vision_parameters},
            {"text", info.text_parameters},
            {"all", info.parameters}}},
          {"logit_scale", info.logit_scale},
          {"logit_bias", info.logit_bias ? Json(*info.logit_bias) : Json()},
          {"heads", heads}};
}

std::string InfoTable(const ModelInfo& info) {
  const ModelConfig& c = info.config;
  std::string out = fmt::format(
      "{}\n  layout         {}\n  files          {}\n  fingerprint    {}\n  image tower    {} "
      "layers x {} heads of {}, width {}, MLP {}, {}\n"
      "  picture        {} x {}, patches of {}, {} tokens{}\n"
      "  pooled         {}\n"
      "  text tower     {}{}\n"
      "  embedding      {}\n  the sum        {}\n  logit scale    {:.2f}{}{}\n"
      "  parameters     {} (image tower {}, text tower {})\n",
      info.name, info.layout, fmt::join(info.files, "\n                 "), info.fingerprint,
      c.vision.layers, c.vision.heads, c.vision.head_width(), c.vision.width, c.vision.mlp_width,
      ActivationText(c.vision), c.preprocess.image_size, c.preprocess.image_size, c.patch_size,
      c.tokens(), c.registers > 0 ? fmt::format(", {} of them registers", c.registers) : "",
      PoolText(c), TextTowerText(c), c.text_decoder ? "\n  not read       the text decoder" : "",
      c.embed_width, SumText(c), info.logit_scale,
      c.logit_scale ? "" : " (the checkpoint has none)",
      info.logit_bias ? fmt::format(", bias {:.2f}", *info.logit_bias) : "", info.parameters,
      info.vision_parameters, info.text_parameters);
  if (c.pool.kind == Pooling::kAttention) {
    return out + fmt::format(
                     "\nA head's contributions have {} dimensions at most: the pool's {} "
                     "heads weigh its rows each in its own way.\n",
                     info.ranks(0, 0), c.pool.heads);
  }
  out += fmt::format("\nNumerical rank of each head's contributions (at most K+3 = {}):\n",
                     info.factor_width);
  std::vector<TableColumn> columns = {{"layer"}};
  for (Index h = 0; h < info.ranks.dim(1); ++h) {
    columns.push_back({fmt::format("H{}", h), Align::kRight});
  }
  Table table(columns);
  for (Index l = 0; l < info.ranks.dim(0); ++l) {
    std::vector<std::string> row = {fmt::format("L{}", l)};
    for (Index h = 0; h < info.ranks.dim(1); ++h)
      row.push_back(fmt::format("{}", info.ranks(l, h)));
    table.AddRow(row);
  }
  return out + table.Render();
}

Json TokensJson(const ClipModel& model, const TextLines& texts, const std::vector<Tokens>& tokens) {
  Json list = Json::array();
  for (std::size_t i = 0; i < texts.texts.size(); ++i) {
    list.push_back({{"text", texts.texts[i]},
                    {"line", texts.lines[i]},
                    {"ids", IdsOf(tokens[i])},
                    {"pooled", tokens[i].end},
                    {"truncated", tokens[i].truncated}});
  }
  return {{"format", "cliplens.tokenize/1"},
          {"context_length", model.config().context_length},
          {"vocabulary_size", model.tokenizer().vocabulary_size()},
          {"texts", std::move(list)}};
}

std::string TokensTable(const std::vector<Tokens>& tokens) {
  std::string out;
  for (const Tokens& one : tokens) out += DumpJson(IdsOf(one)) + "\n";
  return out;
}

Json PixelsJson(const Image& picture, const std::string& path, const Array<float, 3>& pixels,
                const std::string& out) {
  Json json = {
      {"format", "cliplens.preprocess/1"}, {"image", path},           {"width", picture.width},
      {"height", picture.height},          {"shape", pixels.shape()}, {"out", out}};
  PutOriented(json, OrientedIn(picture));
  return json;
}

Json PullJson(const PulledModel& model) {
  Json files = Json::array();
  for (const PulledFile& file : model.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"fetched", file.fetched}});
  }
  return {{"format", "cliplens.pull/1"}, {"name", model.name},     {"repository", model.repository},
          {"revision", model.revision},  {"commit", model.commit}, {"path", model.path.string()},
          {"files", std::move(files)}};
}

std::string PullText(const PulledModel& model) {
  Index bytes = 0;
  Index fetched = 0;
  Index count = 0;
  for (const PulledFile& file : model.files) {
    bytes += file.bytes;
    if (!file.fetched) continue;
    fetched += file.bytes;
    ++count;
  }
  constexpr double kMegabyte = 1e6;
  return fmt::format("{}: {} files of {:.1f} MB, {} of {:.1f} MB fetched now\n{}\n", model.name,
                     model.files.size(), static_cast<double>(bytes) / kMegabyte, count,
                     static_cast<double>(fetched) / kMegabyte, model.path.string());
}

}  // namespace cliplens
