// cliplens info MODEL
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/parallel.h"
#include "cliplens/cli/verb.h"
#include "cliplens/decompose/basis.h"
#include "cliplens/report/table.h"

namespace cliplens::cli {
namespace {

// Parameters under a prefix of the tensors' names.
Index Parameters(const ClipModel& model, std::string_view prefix) {
  Index n = 0;
  for (const auto& [name, tensor] : model.tensors()) {
    if (!name.starts_with(prefix)) continue;
    Index size = 1;
    for (Index d : tensor.shape) size *= d;
    n += size;
  }
  return n;
}

void Run(const ModelChoice& choice, const Common& common) {
  const ClipModel model = LoadModel(choice);
  const ModelConfig& c = model.config();
  const Basis basis = MakeBasis(model.image_readout(), common.threads);
  Array<Index, 2> ranks({basis.layers(), basis.num_heads()});
  ParallelFor(common.threads, basis.layers() * basis.num_heads(), [&](Index i, int) {
    const Index l = i / basis.num_heads();
    const Index h = i % basis.num_heads();
    ranks(l, h) = CoordinatesOf(basis.heads.view()[l][h]).rank();
  });
  const Index vision = Parameters(model, "vision.");
  const Index text = Parameters(model, "text.");
  const Index all = Parameters(model, "");
  std::vector<std::string> files;
  for (const std::filesystem::path& file : model.files()) files.push_back(file.string());
  if (common.json) {
    Json heads = Json::array();
    for (Index l = 0; l < basis.layers(); ++l) {
      for (Index h = 0; h < basis.num_heads(); ++h) {
        heads.push_back({{"head", HeadName({static_cast<int>(l), static_cast<int>(h)})},
                         {"rank", ranks(l, h)}});
      }
    }
    PrintJson({{"format", "cliplens.info/1"},
               {"name", model.name()},
               {"layout", model.layout()},
               {"files", files},
               {"fingerprint", model.fingerprint()},
               {"config", ToJson(c)},
               {"parameters", {{"vision", vision}, {"text", text}, {"all", all}}},
               {"logit_scale", model.logit_scale()},
               {"heads", heads}});
    return;
  }
  std::string out = fmt::format(
      "{}\n  layout         {}\n  files          {}\n  fingerprint    {}\n  image tower    {} "
      "layers x {} heads of {}, width {}, MLP {}, {}\n"
      "  picture        {} x {}, patches of {}, {} tokens\n"
      "  text tower     {} layers x {} heads of {}, width {}, MLP {}, context {}, vocabulary {}\n"
      "  embedding      {}\n  logit scale    {:.2f}\n"
      "  parameters     {} (image tower {}, text tower {})\n\n"
      "Numerical rank of each head's contributions (at most K+3 = {}):\n",
      model.name(), model.layout(), fmt::join(files, "\n                 "), model.fingerprint(),
      c.vision.layers, c.vision.heads, c.vision.head_width(), c.vision.width, c.vision.mlp_width,
      c.activation == Activation::kQuickGelu ? "QuickGELU" : "GELU", c.preprocess.image_size,
      c.preprocess.image_size, c.patch_size, c.tokens(), c.text.layers, c.text.heads,
      c.text.head_width(), c.text.width, c.text.mlp_width, c.context_length, c.vocabulary_size,
      c.embed_width, model.logit_scale(), all, vision, text, basis.factor_width());
  std::vector<TableColumn> columns = {{"layer"}};
  for (Index h = 0; h < basis.num_heads(); ++h) {
    columns.push_back({fmt::format("H{}", h), Align::kRight});
  }
  Table table(columns);
  for (Index l = 0; l < basis.layers(); ++l) {
    std::vector<std::string> row = {fmt::format("L{}", l)};
    for (Index h = 0; h < basis.num_heads(); ++h) row.push_back(fmt::format("{}", ranks(l, h)));
    table.AddRow(row);
  }
  Print(out + table.Render());
}

}  // namespace

void AddInfo(CLI::App& app, Common& common) {
  auto model = std::make_shared<ModelChoice>();
  CLI::App* verb = AddVerb(app, common, "info", "Configuration, sizes and rank of each head",
                           "cliplens info pictureworld");
  AddModelArgument(verb, *model);
  verb->callback([model, &common] { Run(*model, common); });
}

}  // namespace cliplens::cli
