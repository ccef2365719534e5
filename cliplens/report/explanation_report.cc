#include "cliplens/report/explanation_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "cliplens/io/printable.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/table.h"

namespace cliplens {
namespace {

constexpr Color kForBar{197, 27, 32};
constexpr Color kAgainstBar{24, 92, 176};

// "-0.0000" is never written.
std::string Number(double v) { return fmt::format("{:.4f}", std::abs(v) < 0.00005 ? 0.0 : v); }

std::string Title(const ExplanationReport& report) {
  if (report.against.empty()) return report.text;
  const std::string kind = report.against_kind == "runner-up" ? " (the runner-up)" : std::string();
  return fmt::format("{} \u2212 {}{}", report.text, report.against, kind);
}

std::string ComponentText(const ExplanationReport& report, Index number) {
  return NameOf(Components(report.layers, report.heads).at(number));
}

std::string LabelOf(const ExplanationReport& report, Index number) {
  if (number >= Index{report.layers} * report.heads) return {};
  const auto found = report.labels.find(
      {static_cast<int>(number / report.heads), static_cast<int>(number % report.heads)});
  return found == report.labels.end() ? std::string() : found->second;
}

std::vector<double> PatchSums(const Explanation& e) {
  std::vector<double> sums;
  for (Index i = 0; i < e.patch_part.dim(1); ++i) sums.push_back(e.of_patch(i));
  return sums;
}

double PatchesOf(const Explanation& e, Index part) {
  const std::span<const double> row = e.patch_part.row(part);
  return std::accumulate(row.begin(), row.end(), 0.0);
}

double SumOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

void AddComponents(std::string& out, const ExplanationReport& report, bool against) {
  const std::vector<Index> side = ComponentsOfSide(report, against);
  std::vector<TableColumn> columns = {{against ? "against" : "for"}, {"score", Align::kRight}};
  if (!report.labels.empty()) columns.push_back({"label"});
  Table table(columns);
  for (const Index number : side) {
    std::vector<std::string> cells = {ComponentText(report, number),
                                      Number(At(report.explanation.components, number))};
    if (!report.labels.empty()) cells.push_back(LabelOf(report, number));
    table.AddRow(cells);
  }
  out += table.Render() + "\n";
}

ArrayView<const double, 2> GridView(const double* values, Index grid) {
  return {values, {grid, grid}};
}

}  // namespace

std::vector<Index> RankedComponents(const Explanation& explanation) {
  std::vector<Index> order(explanation.components.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::ranges::stable_sort(order, [&](Index a, Index b) {
    return At(explanation.components, a) > At(explanation.components, b);
  });
  return order;
}

std::vector<Index> ComponentsOfSide(const ExplanationReport& report, bool against) {
  std::vector<Index> ranked = RankedComponents(report.explanation);
  if (against) std::ranges::reverse(ranked);
  std::vector<Index> side;
  for (const Index number : ranked) {
    const double score = At(report.explanation.components, number);
    if (static_cast<Index>(side.size()) == report.top || (against ? score >= 0 : score <= 0)) break;
    side.push_back(number);
  }
  return side;
}

std::string PartText(const TextPart& part) {
  std::string text = part.kind == TextPartKind::kInput  ? "text INPUT"
                     : part.kind == TextPartKind::kMlps ? "text MLPs"
                                                        : Printable(part.text);
  return part.against ? "\u2212 " + text : text;
}

std::string ExplanationTable(const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  std::string out =
      fmt::format("{}: {}\nscore {}\n\n", report.picture.path, Title(report), Number(e.score));
  AddComponents(out, report, false);
  AddComponents(out, report, true);
  out += fmt::format("all {} components: {}, of which the class token's attention to itself {}\n\n",
                     e.components.size(), Number(SumOf(e.components)),
                     Number(SumOf(e.class_to_class)));
  Table words({{"word"},
               {"score", Align::kRight},
               {"patches", Align::kRight},
               {"class token", Align::kRight},
               {"MLPs", Align::kRight},
               {"INPUT", Align::kRight},
               {"strongest patch", Align::kRight}});
  for (Index j = 0; j < e.patch_part.dim(0); ++j) {
    const auto at = ToSize(j);
    const std::span<const double> row = e.patch_part.row(j);
    const Index strongest =
        std::ranges::max_element(row, {}, [](double v) { return std::abs(v); }) - row.begin();
    words.AddRow({PartText(e.parts[at]), Number(e.of_part(j)), Number(PatchesOf(e, j)),
                  Number(e.class_token[at]), Number(e.mlps[at]), Number(e.input[at]),
                  fmt::format("{} at row {}, column {}", Number(At(row, strongest)),
                              strongest / report.grid + 1, strongest % report.grid + 1)});
  }
  const std::vector<double> patches = PatchSums(e);
  words.AddRow({"all", Number(e.sum), Number(SumOf(patches)), Number(SumOf(e.class_token)),
                Number(SumOf(e.mlps)), Number(SumOf(e.input)), ""});
  out += words.Render();
  out += fmt::format(
      "\nthe sum over components differs from the score by {:.1e}, that over patches and words by "
      "{:.1e}\n",
      std::abs(SumOf(e.components) - e.score), std::abs(e.sum - e.score));
  return out;
}

Json ExplanationJson(const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  const MappedPicture& picture = report.picture;
  Json json = MappedPictureJson("cliplens.explain/1", picture);
  json["text"] = report.text;
  if (!report.against.empty()) {
    json["against"] = report.against;
    json["against_kind"] = report.against_kind;
  }
  json["score"] = e.score;
  json["sum_of_components"] = SumOf(e.components);
  json["sum"] = e.sum;
  Json components = Json::array();
  for (const Index number : RankedComponents(e)) {
    Json component = {{"component", ComponentText(report, number)},
                      {"score", At(e.components, number)}};
    if (const std::string label = LabelOf(report, number); !label.empty()) {
      component["label"] = label;
    }
    components.push_back(component);
  }
  json["components"] = components;
  json["class_to_class"] = e.class_to_class;
  Json words = Json::array();
  Json table = Json::array();
  for (Index j = 0; j < e.patch_part.dim(0); ++j) {
    const auto at = ToSize(j);
    words.push_back({{"text", e.parts[at].text},
                     {"kind", NameOf(e.parts[at].kind)},
                     {"against", e.parts[at].against},
                     {"score", e.of_part(j)},
                     {"patches", PatchesOf(e, j)},
                     {"class_token", e.class_token[at]},
                     {"mlps", e.mlps[at]},
                     {"input", e.input[at]}});
    const std::span<const double> row = e.patch_part.row(j);
    table.push_back(std::vector<double>(row.begin(), row.end()));
  }
  json["words"] = words;
  json["patch_word"] = table;
  json["map"] = GridJson(GridView(PatchSums(e).data(), report.grid));
  json["rest"] = {
      {"class_token", SumOf(e.class_token)}, {"mlps", SumOf(e.mlps)}, {"input", SumOf(e.input)}};
  return json;
}

Image ExplanationSheet(const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  constexpr Index kMargin = 28;
  constexpr Index kHeader = 84;
  constexpr Index kSide = 260;
  constexpr Index kGap = 22;
  constexpr Index kRow = 20;
  constexpr Index kBars = 480;
  const FittedSize size = FitInto(report.picture.rgb, kSide);
  const Index width = 2 * kMargin + 2 * kSide + 2 * kGap + kBars;
  const std::vector<Index> speak_for = ComponentsOfSide(report, false);
  const std::vector<Index> against = ComponentsOfSide(report, true);
  const auto bars = static_cast<Index>(speak_for.size() + against.size());
  const Index upper = std::max(size.height + 60, bars * kRow + 62);

  // A map for each word, small.
  const Index parts = e.patch_part.dim(0);
  constexpr Index kSmallSide = 112;
  const FittedSize small = FitInto(report.picture.rgb, kSmallSide);
  const Index columns = (width - 2 * kMargin + 16) / (kSmallSide + 16);
  const Index rows = (parts + columns - 1) / columns;
  const Index cell_height = small.height + 44;
  Canvas canvas(width, kHeader + upper + 34 + rows * cell_height + 62);
  const Index room = width - 2 * kMargin;
  canvas.Text(
      {.x = kMargin, .y = 32, .size = 18},
      canvas.Fit(fmt::format("{}: score {}", Title(report), FormatFixed(e.score, 4)), 18, room));
  canvas.Text(
      {.x = kMargin, .y = 52, .size = 12, .color = kMuted},
      canvas.Fit(fmt::format("{}  \u00b7  model {}  \u00b7  {} components add up to it "
                             "within {:.0e}, patches \u00d7 words within {:.0e}",
                             report.picture.path, report.picture.model_name, e.components.size(),
                             std::abs(SumOf(e.components) - e.score), std::abs(e.sum - e.score)),
                 12, room));

  const std::vector<double> sums = PatchSums(e);
  const auto largest = [](std::span<const double> values) {
    double most = 0;
    for (const double v : values) most = std::max(most, std::abs(v));
    return most;
  };
  const double scale = RoundScale(largest(sums));
  const double word_scale = RoundScale(largest(e.patch_part.flat()));
  const Index map_x = kMargin + kSide + kGap;
  canvas.Text({.x = kMargin, .y = kHeader - 8, .size = 13, .color = kMuted}, "the picture");
  canvas.Paste(DrawInput(report.picture, size.width, size.height), kMargin, kHeader);
  canvas.Text({.x = map_x, .y = kHeader - 8, .size = 13, .color = kMuted},
              fmt::format("patches: {} of the score", FormatSigned(SumOf(sums), 4)));
  canvas.Paste(
      DrawMap(report.picture, GridView(sums.data(), report.grid), scale, size.width, size.height),
      map_x, kHeader);
  DrawScale(canvas, map_x, kHeader + size.height + 10, size.width, scale);

  // Components: name, bar, number, label.
  const Index bar_x = map_x + kSide + kGap;
  constexpr Index kNames = 66;
  constexpr Index kNumbers = 62;
  constexpr Index kLabels = 120;
  const Index bar_room = kBars - kNames - kNumbers - (report.labels.empty() ? 0 : kLabels);
  const double longest = std::max(largest(e.components), 1e-12);
  canvas.Text({.x = bar_x, .y = kHeader - 8, .size = 13, .color = kMuted},
              "components for and against");
  Index y = kHeader;
  const auto bar = [&](Index number, Color color) {
    const double score = At(e.components, number);
    canvas.Text({.x = bar_x + kNames - 8, .y = y + 14, .size = 12, .align = TextAlign::kRight},
                ComponentText(report, number));
    const auto length =
        std::max<Index>(1, std::llround(static_cast<double>(bar_room) * std::abs(score) / longest));
    canvas.Fill(bar_x + kNames, y + 3, length, kRow - 6, color);
    canvas.Text({.x = bar_x + kNames + bar_room + kNumbers - 4,
                 .y = y + 14,
                 .size = 12,
                 .align = TextAlign::kRight},
                FormatSigned(score, 4));
    canvas.Text(
        {.x = bar_x + kNames + bar_room + kNumbers + 6, .y = y + 14, .size = 12, .color = kMuted},
        canvas.Fit(LabelOf(report, number), 12, kLabels - 6));
    y += kRow;
  };
  for (const Index number : speak_for) bar(number, kForBar);
  y += 8;
  for (const Index number : against) bar(number, kAgainstBar);
  const double listed =
      std::accumulate(speak_for.begin(), speak_for.end(), 0.0,
                      [&](double sum, Index n) { return sum + At(e.components, n); });
  const double taken =
      std::accumulate(against.begin(), against.end(), 0.0,
                      [&](double sum, Index n) { return sum + At(e.components, n); });
  const auto others = static_cast<Index>(e.components.size()) - bars;
  canvas.Text({.x = bar_x + kNames, .y = y + 20, .size = 12, .color = kMuted},
              canvas.Fit(fmt::format("{}: {}", Counted(others, "other component"),
                                     FormatSigned(SumOf(e.components) - listed - taken, 4)),
                         12, kBars - kNames));

  const Index words_y = kHeader + upper + 20;
  canvas.Text({.x = kMargin, .y = words_y - 4, .size = 13, .color = kMuted},
              "patches \u00d7 words: what each word brings to the score, and where");
  for (Index j = 0; j < parts; ++j) {
    const auto at = ToSize(j);
    const Index x = kMargin + j % columns * (kSmallSide + 16);
    const Index top = words_y + 8 + j / columns * cell_height;
    canvas.Paste(DrawMap(report.picture, GridView(e.patch_part.row(j).data(), report.grid),
                         word_scale, small.width, small.height),
                 x, top);
    canvas.Text({.x = x, .y = top + small.height + 15, .size = 12},
                canvas.Fit(PartText(e.parts[at]), 12, kSmallSide));
    canvas.Text({.x = x, .y = top + small.height + 30, .size = 12, .color = kMuted},
                FormatSigned(e.of_part(j), 4));
  }
  const Index legend = words_y + 8 + rows * cell_height + 8;
  DrawScale(canvas, kMargin, legend, 300, word_scale);
  canvas.Text({.x = kMargin + 318, .y = legend + 11, .size = 12, .color = kMuted},
              canvas.Fit("of the score, by patch and word: red speaks for the text, blue against "
                         "it; below a word its sum over the whole picture",
                         12, room - 318));
  return canvas.image();
}

}  // namespace cliplens
