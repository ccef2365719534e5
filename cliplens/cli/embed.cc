// cliplens embed MODEL (--images PATH | --texts FILE) --out x.npy
#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "cliplens/analysis/zero_shot.h"
#include "cliplens/app/edits.h"
#include "cliplens/app/models.h"
#include "cliplens/app/pictures.h"
#include "cliplens/app/shipped.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/npy.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/classify_report.h"

namespace cliplens::cli {
namespace {

struct EmbedArguments {
  ModelChoice model;
  ImagesChoice images;
  std::string texts;
  std::string out;
  EditChoice edit;
  bool truncate = false;
  OnError on_error = OnError::kStop;
};

// "unit rows", "edited rows, not made unit,".
const char* RowsText(const ChosenEdit& edit) {
  if (edit.edit() == nullptr) return "unit rows";
  return edit.normalize() ? "edited unit rows" : "edited rows, not made unit,";
}

// A file's lines are texts, whole; a shipped pool's are texts with their properties behind a tab.
TextLines ReadTextsOrShipped(const std::string& texts) {
  const std::filesystem::path path = TextsPath(texts);
  if (path == std::filesystem::path(texts)) return ReadTextLines(path, WarnOfBlankLines);
  TextPool pool = ReadTextPool(path, WarnOfBlankLines);
  return {std::move(pool.texts), std::move(pool.lines), pool.blank};
}

void Run(EmbedArguments& options, const Common& common) {
  options.model.with_text = !options.texts.empty();
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const std::string rows_out = std::filesystem::path(options.out).replace_extension("rows.jsonl");
  OutputFiles files({options.out, rows_out});
  const ChosenEdit edit(options.edit, model);
  Array<float, 2> rows;
  EmbedReport report{.model_name = model.name(),
                     .fingerprint = model.fingerprint(),
                     .precision = NameOf(model.precision()),
                     .shape = {},
                     .out = options.out,
                     .rows_out = rows_out,
                     .items = {},
                     .skipped = {}};
  if (edit.edit() != nullptr && options.images.images.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--edit is for pictures; texts are not edited");
  }
  if (!options.images.images.empty()) {
    const std::unique_ptr<ImageSet> set = OpenImages(options.images, options.on_error);
    EmbeddedImages embedded = EmbedReadableImages(model, *set, options.on_error, common.threads,
                                                  Progress(common, "embed"), edit.ForEmbedding());
    rows = std::move(embedded.rows);
    report.oriented = embedded.oriented;
    report.skipped = std::move(embedded.skipped);
    report.incomplete = std::move(embedded.incomplete);
    report.left_out = set->left_out();
    for (const Index i : embedded.index) report.items.push_back(set->path(i));
    WarnOfLosses(report.left_out, report.oriented, report.skipped, report.incomplete, set->size());
  } else {
    TextLines texts = ReadTextsOrShipped(options.texts);
    rows =
        model.EmbedTexts(texts.texts, options.truncate, common.threads, Progress(common, "embed"));
    report.items = std::move(texts.texts);
    report.lines = std::move(texts.lines);
  }
  WriteNpy(files, options.out, rows.flat(), rows.shape());
  files.Write(rows_out, RowLines(report));
  files.Commit();
  report.shape.assign(rows.shape().begin(), rows.shape().end());
  if (common.json) return PrintJson(EmbedJson(report, edit));
  Print(fmt::format("{} {} of {} in {}\n", rows.dim(0), RowsText(edit), rows.dim(1), options.out));
}

}  // namespace

void AddEmbed(CLI::App& app, Common& common) {
  auto [verb, options] =
      AddVerb<EmbedArguments>(app, common, "embed", "Unit embeddings of pictures or texts, [B, E]",
                              "cliplens embed pictureworld --images photos/ --out photos.npy");
  AddModelArgument(verb, options->model);
  AddLevelOption(verb, options->model);
  AddPrecisionOption(verb, options->model);
  auto* source = AddOneOf(verb, "source");
  AddImagesOption(verb, options->images, source);
  source->add_option(
      "--texts", options->texts,
      "File with one text a line, or a shipped pool: general, common_words, properties");
  verb->add_option("--out", options->out, "float32 .npy file to write")->required();
  AddEditChoice(verb, options->edit);
  AddOnError(verb, options->on_error);
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
