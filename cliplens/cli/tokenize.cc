// cliplens tokenize MODEL --texts FILE

#include "cliplens/app/models.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/report/model_report.h"

namespace cliplens::cli {
namespace {

struct TokenizeArguments {
  ModelChoice model;
  std::string texts;
  bool truncate = false;
};

void Run(const TokenizeArguments& options, const Common& common) {
  const LoadedModel loaded = LoadModel(options.model);
  const ClipModel& model = *loaded;
  const TextLines texts = ReadTextLines(options.texts, WarnOfBlankLines);
  const std::vector<Tokens> tokens =
      model.TokenizeTexts(texts.texts, options.truncate, common.threads);
  if (common.json) return PrintJson(TokensJson(model, texts, tokens));
  Print(TokensTable(tokens));
}

}  // namespace

void AddTokenize(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<TokenizeArguments>(
      app, common, "tokenize", "Token ids of each line, from start to end token",
      "cliplens tokenize pictureworld --texts captions.txt");
  AddModelArgument(verb, options->model);
  verb->add_option("--texts", options->texts, "File with one text a line")->required();
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
