// cliplens span STORE --texts FILE

#include <fmt/format.h>

#include "cliplens/analysis/text_span.h"
#include "cliplens/analysis/variance.h"
#include "cliplens/app/heads.h"
#include "cliplens/app/models.h"
#include "cliplens/app/shipped.h"
#include "cliplens/app/texts.h"
#include "cliplens/cli/options.h"
#include "cliplens/cli/verb.h"
#include "cliplens/dataset/text_pool.h"
#include "cliplens/io/output_files.h"
#include "cliplens/report/few_pictures.h"
#include "cliplens/report/json.h"
#include "cliplens/report/table.h"

namespace cliplens::cli {
namespace {

struct SpanArguments {
  std::string store;
  std::string texts;
  ModelChoice model;
  std::string heads = "all";
  TextSpanOptions span;
  std::string out;
  bool truncate = false;
};

void Run(const SpanArguments& options, const Common& common) {
  const Store store = Store::Open(options.store);
  const std::vector<HeadId> heads = HeadsIn(store).Parse(options.heads);
  OutputFiles files({options.out});
  const TextPool pool = ReadTextPool(TextsPath(options.texts), WarnOfBlankLines);
  const RowModel model = LazyModel(store, options.model).LoadedRows();
  const Array<float, 2> texts = RowsOfPool(model, pool, options.truncate, WorkOf(common));
  const std::vector<TextSpanResult> spans = TextSpanOfHeads(
      store.statistics(), store.basis(), heads, texts, options.span, common.threads);
  const std::vector<ComponentShare> shares = ComponentShares(store.statistics(), store.basis());
  const Index width = store.statistics().factor_width();
  // Of many pictures it is the sum of the shares, and takes several times as long.
  const bool few = store.info().images < EnoughForSpan(width);
  std::vector<std::vector<double>> held_out;
  if (few) {
    held_out = HeldOutSharesOfHeads(store.statistics(), store.basis(), heads, texts, options.span,
                                    common.threads);
  }
  Json result = SpanJson(store.info(), pool, heads, spans, shares, held_out);
  PutPoolMlpShare(result, shares);
  files.Write(options.out, DumpJson(result) + "\n");
  files.Commit();
  if (common.json) {
    PrintJson(result);
    return;
  }
  std::string out = PoolMlpLine(shares);
  if (!out.empty()) out += '\n';
  for (const Json& head : result["heads"]) {
    const auto rank = head["rank"].get<Index>();
    out += fmt::format("{}  {:.1f} % of the embedding's variance, rank {}",
                       head["head"].get<std::string>(), 100 * head["variance_share"].get<double>(),
                       rank);
    if (options.span.rank > rank) {
      out += fmt::format(" ({} asked for, the head has no more)", options.span.rank);
    }
    out += '\n';
    std::vector<TableColumn> columns = {{"share", Align::kRight}, {"sum", Align::kRight}};
    if (few) columns.push_back({"held out", Align::kRight});
    columns.push_back({"text"});
    Table table(columns);
    for (const Json& text : head["texts"]) {
      std::vector<std::string> cells = {FormatPercent(text["share"].get<double>()),
                                        FormatPercent(text["cumulative"].get<double>())};
      if (few) {
        cells.push_back(text.contains("held_out") ? FormatPercent(text["held_out"].get<double>())
                                                  : "unknown");
      }
      cells.push_back(text["text"].get<std::string>());
      table.AddRow(std::move(cells));
    }
    out += table.Render() + "\n";
  }
  out += FewPicturesLine(store.info().images, EnoughForSpan(width),
                         "'held out' is what as many texts explain of others");
  if (!options.out.empty()) out += fmt::format("written to {}\n", options.out);
  Print(out);
}

}  // namespace

void AddSpan(CLI::App& app, Common& common) {
  auto [verb, options] = AddVerb<SpanArguments>(
      app, common, "span", "TextSpan: the texts that span what each head writes",
      "cliplens span store --texts world/texts/phrases.txt --heads last-2 --count 10");
  AddStoreArgument(verb, options->store, "Store directory");
  AddTextsOption(verb, options->texts);
  AddHeadsOption(verb, options->heads);
  AddNumber(verb, "--count", options->span.count, 1, 100'000, "Texts for each head");
  AddNumber(verb, "--rank", options->span.rank, 0, 100'000,
            "Directions of the head to keep (0: its numerical rank)");
  AddModelOption(verb, options->model);
  verb->add_option("--out", options->out, "JSON file to write beside what is printed");
  verb->add_flag("--truncate", options->truncate, "Cut texts longer than the context");
}

}  // namespace cliplens::cli
