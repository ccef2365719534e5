// cliplens evaluate labels STORE --truth ATTRIBUTES
#include <memory>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/cli/labelling.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/labels.h"
#include "cliplens/report/label_report.h"

namespace cliplens::cli {
namespace {

struct EvaluateArguments {
  LabellingOptions labelling;
  std::vector<std::string> truth;
  std::string only;
};

// The pictures whose attribute has the value of `only`, ATTRIBUTE=VALUE; all without it.
std::vector<Index> PicturesOf(const std::vector<Item>& items, const std::string& only) {
  const std::size_t sign = only.find('=');
  if (!only.empty() && sign == std::string::npos) {
    throw Error(ErrorCode::kInvalidArgument, "--only {}: ATTRIBUTE=VALUE was expected", only);
  }
  std::vector<Index> pictures;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!only.empty() &&
        LabelOf(items[i], only.substr(0, sign)).value_or("") != only.substr(sign + 1)) {
      continue;
    }
    pictures.push_back(static_cast<Index>(i));
  }
  if (pictures.empty()) {
    throw Error(ErrorCode::kNotFound, "--only {}: no picture of the store is left", only);
  }
  return pictures;
}

void Run(const EvaluateArguments& options, const Common& common) {
  const Store store = Store::Open(options.labelling.store);
  const std::vector<Item> items = store.ReadItems();
  const std::vector<Index> pictures = PicturesOf(items, options.only);
  const std::vector<Factor> factors = FactorsOf(items, options.truth, pictures);
  const LabelReport report =
      MakeLabels(store, LoadModelOf(store, options.labelling.model), options.labelling, common);
  for (const Factor& factor : factors) {
    if (std::ranges::find(report.table.names, factor.name) == report.table.names.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  "--truth {}: {} has no such property; a label is right when its property has the "
                  "name of the attribute that holds the truth",
                  factor.name, report.properties_name);
    }
  }
  std::vector<HeadId> heads;
  for (const HeadLabel& label : report.labels) heads.push_back(label.id);
  const std::vector<HeadTruth> truth =
      TruthOfHeads(store, heads, factors, pictures, common.threads);
  const LabelEvaluation evaluation = EvaluateLabels(report.labels, report.table, factors, truth);
  const auto images = static_cast<Index>(pictures.size());
  if (common.json) {
    return PrintJson(LabelEvaluationJson(report, factors, truth, evaluation, images));
  }
  Print(LabelEvaluationTable(report, factors, truth, evaluation, images));
}

void AddEvaluateLabels(CLI::App& app, Common& common) {
  auto options = std::make_shared<EvaluateArguments>();
  CLI::App* verb =
      AddVerb(app, common, "labels", "Labels of heads against known factors of the pictures",
              "cliplens evaluate labels store --properties world/texts/properties.txt --truth "
              "object,style,background,position,size,count,effect --only object2=");
  AddLabellingOptions(verb, options->labelling);
  verb->add_option("--truth", options->truth,
                   "Attributes of the pictures that hold the truth; commas between")
      ->delimiter(',')
      ->required();
  verb->add_option("--only", options->only,
                   "Measure the truth on the pictures with ATTRIBUTE=VALUE (empty: without it)");
  verb->callback([options, &common] { Run(*options, common); });
}

}  // namespace

void AddEvaluate(CLI::App& app, Common& common) {
  CLI::App* verb = app.add_subcommand("evaluate", "Analyses against what is known of the pictures");
  verb->require_subcommand(1);
  AddEvaluateGroups(*verb, common);
  AddEvaluateLabels(*verb, common);
  AddEvaluateSegmentation(*verb, common);
}

}  // namespace cliplens::cli
