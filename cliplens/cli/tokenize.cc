// cliplens tokenize MODEL --texts FILE

#include "cliplens/app/models.h"
#include "cliplens/base/error.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/io/file.h"
#include "cliplens/report/model_report.h"

namespace cliplens::cli {
namespace {

struct TokenizeArguments {
  ModelChoice model;
  std::string texts;
  bool truncate = false;
};

// Lines as they are: blanks and tabs belong to the text here.
std::vector<std::string> ReadLines(const std::string& path) {
  const std::string text = ReadTextFile(path, Index{256} << 20, FileKind::kRegularOrPipe);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no texts in it; put one text on each line", path);
  }
  return lines;
}

void Run(const TokenizeArguments& options, const Common& common) {
  const ClipModel model = LoadModel(options.model);
  const std::vector<std::string> lines = ReadLines(options.texts);
  const std::vector<Tokens> tokens = model.TokenizeTexts(lines, options.truncate, common.threads);
  if (common.json) return PrintJson(TokensJson(model, lines, tokens));
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
