// cliplens edit make|show
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/cli/edit_choice.h"
#include "cliplens/cli/head_choice.h"
#include "cliplens/cli/verb.h"
#include "cliplens/report/edit_report.h"

namespace cliplens::cli {
namespace {

struct MakeOptions {
  std::string store;
  std::string heads;
  std::string property;
  std::string labels;
  std::string mode = "mean";
  std::string means;
  std::string out;
};

std::vector<EditTarget> TargetsOf(const MakeOptions& options, const Store& store) {
  const auto layers = static_cast<int>(store.basis().layers());
  const auto heads = static_cast<int>(store.basis().num_heads());
  if (!options.heads.empty()) return ParseEditTargets(options.heads, layers, heads);
  return EditTargetsOf(ChooseHeads({.property = options.property, .labels = options.labels},
                                   store.info().fingerprint, layers, heads));
}

// x of "scale=x", nothing of "mean".
std::optional<double> ScaleOf(const std::string& mode) {
  if (mode == "mean") return std::nullopt;
  constexpr std::string_view kScale = "scale=";
  double scale = 0;
  const char* const end = mode.data() + mode.size();
  if (mode.starts_with(kScale)) {
    const auto [at, error] = std::from_chars(mode.data() + kScale.size(), end, scale);
    if (error == std::errc() && at == end) return scale;
  }
  throw Error(ErrorCode::kInvalidArgument, "--mode {}: mean or scale=X was expected, X a number",
              mode);
}

void RunMake(const MakeOptions& options, const Common& common) {
  const Store store = Store::Open(options.store);
  RefuseExisting(options.out);
  const std::vector<EditTarget> targets = TargetsOf(options, store);
  const std::optional<double> scale = ScaleOf(options.mode);
  if (scale && !options.means.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--means is for --mode mean; {} needs no mean",
                options.mode);
  }
  Edit edit;
  if (scale) {
    edit = MakeScaleEdit(store.info(), store.basis(), *scale, targets);
  } else {
    const MeansChoice means(options.means, store, options.store);
    edit = MakeMeanEdit(store.info(), store.basis(), means.statistics(), targets);
    edit.means = means.name();
  }
  edit.note = options.property.empty() ? "heads " + options.heads
                                       : "heads of the property " + options.property;
  WriteEdit(options.out, edit);
  if (common.json) return PrintJson(EditJson(edit, options.out));
  Print(fmt::format("{}\nwritten to {}\n", EditTable(edit), options.out));
}

void AddMake(CLI::App& app, Common& common) {
  auto options = std::make_shared<MakeOptions>();
  CLI::App* verb = AddVerb(app, common, "make", "An edit of the components that are named",
                           "cliplens edit make store --heads L5.H3,L5.H4 --out edit.json");
  verb->add_option("STORE", options->store, "Store of the model (statistics are enough)")
      ->required();
  auto* which = verb->add_option_group("which components");
  which->add_option("--heads", options->heads,
                    "L11.H3, L9-L11, last-4, all, also L11.MLP, mlps and INPUT; commas between");
  which->add_option("--property", options->property,
                    "The heads that --labels names this property for");
  which->require_option(1);
  verb->add_option("--labels", options->labels,
                   "File that 'cliplens label STORE --out FILE' wrote");
  verb->add_option("--mode", options->mode, "mean: replaced by the mean; scale=X: times X")
      ->capture_default_str();
  verb->add_option("--means", options->means, "Store whose means stand in (default: STORE's own)");
  verb->add_option("--out", options->out, "Edit file to write")->required();
  verb->callback([options, &common] { RunMake(*options, common); });
}

void AddShow(CLI::App& app, Common& common) {
  auto path = std::make_shared<std::string>();
  CLI::App* verb =
      AddVerb(app, common, "show", "What an edit does", "cliplens edit show edit.json");
  verb->add_option("EDIT", *path, "Edit file")->required();
  verb->callback([path, &common] {
    const Edit edit = ReadEdit(*path);
    if (common.json) return PrintJson(EditJson(edit, *path));
    Print(EditTable(edit));
  });
}

}  // namespace

void AddEdit(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand(
      "edit", "Edits: components replaced by their means or scaled, for embed and classify");
  verb->require_subcommand(1);
  AddMake(*verb, common);
  AddShow(*verb, common);
}

}  // namespace cliplens::cli
