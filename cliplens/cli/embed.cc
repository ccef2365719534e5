// cliplens embed MODEL (--images PATH | --texts FILE) --out x.npy
#include <memory>

#include <fmt/format.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/npy.h"

namespace cliplens::cli {
namespace {

struct Options {
  ModelChoice model;
  std::string images;
  std::string texts;
  std::string out;
  bool truncate = false;
};

void Run(const Options& options, const Common& common) {
  const ClipModel model = LoadModel(options.model);
  RefuseExisting(options.out);
  Array<float, 2> rows;
  Json items = Json::array();
  if (!options.images.empty()) {
    const std::unique_ptr<ImageSet> set = OpenImageSet(options.images);
    rows = EmbedImages(model, *set, common.threads, Progress(common, "embed"));
    for (Index i = 0; common.json && i < set->size(); ++i) items.push_back(set->item(i).path);
  } else {
    const TextPool pool = ReadTextPool(options.texts);
    rows =
        model.EmbedTexts(pool.texts, options.truncate, common.threads, Progress(common, "embed"));
    items = pool.texts;
  }
  WriteNpy(options.out, rows.flat(), rows.shape());
  if (common.json) {
    PrintJson({{"format", "cliplens.embed/1"},
               {"model", model.name()},
               {"fingerprint", model.fingerprint()},
               {"precision", NameOf(model.precision())},
               {"shape", rows.shape()},
               {"out", options.out},
               {"items", items}});
  } else {
    Print(fmt::format("{} unit rows of {} in {}\n", rows.dim(0), rows.dim(1), options.out));
  }
}

}  // namespace

void AddEmbed(CLI::App& app, Common& common) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, common, "embed", "Unit embeddings of pictures or texts, [B, E]",
                           "cliplens embed pictureworld --images photos/ --out photos.npy");
  AddModelArgument(verb, options->model);
  AddPrecisionOption(verb, options->model);
  auto* source = verb->add_option_group("source");
  source->add_option("--images", options->images, "Picture, folder or WebDataset shards");
  source->add_option("--texts", options->texts, "File with one text a line");
  source->require_option(1);
  verb->add_option("--out", options->out, "float32 .npy file to write")->required();
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace cliplens::cli
