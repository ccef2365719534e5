#include "cliplens/report/score_section.h"

#include <algorithm>
#include <cmath>

#include "cliplens/report/explanation_report.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

using html::Name;
using html::Put;

constexpr Index kSide = 300;      // pixels of a map, for screens of double density
constexpr Index kWordSide = 150;  // of a word's
constexpr int kWebpQuality = 88;

void PutMaps(std::string& out, const HeatMapReport& maps) {
  const FittedSize size = FitInto(maps.picture.rgb, kSide);
  const double scale = ScaleOf(maps);
  Put(out, "<div class=\"maps\">\n<figure>{}<figcaption>{}</figcaption></figure>\n",
      ImageTag(DrawInput(maps.picture, size.width, size.height), "the picture"),
      "the picture; a frame shows what the model looks at, where that is not all of it");
  for (const HeatMapPanel& panel : maps.panels) {
    Put(out,
        "<figure>{}<figcaption><q>{}</q> {}<br><span class=\"muted\">patches {}, {}</span>"
        "</figcaption></figure>\n",
        ImageTag(DrawMap(maps.picture, panel.map.grid, scale, size.width, size.height),
                 "map of " + panel.text),
        Name(panel.text), FormatFixed(panel.map.score, 4), FormatSigned(panel.map.grid_sum(), 4),
        RestText(RestParts(maps.picture, panel.map.rest)));
  }
  out += "</div>\n";
  out += ScaleLegend(scale);
}

void PutComponents(std::string& out, const ExplanationReport& report,
                   const std::set<HeadId>& listed) {
  const Explanation& e = report.explanation;
  double longest = 1e-12;
  for (const double v : e.components) longest = std::max(longest, std::abs(v));
  out +=
      "<table class=\"index bars\">\n<thead><tr><th scope=\"col\">Component</th><th scope=\"col\" "
      "class=\"number\">score</th><th scope=\"col\"><span class=\"hide\">bar</span></th><th "
      "scope=\"col\">label</th></tr></thead>\n<tbody>\n";
  for (const bool against : {false, true}) {
    for (const Index number : ComponentsOfSide(report, against)) {
      const double score = At(e.components, number);
      std::string name = NameOf(report.components().at(number));
      std::string label;
      if (report.components().IsHead(number)) {
        const HeadId id = report.components().HeadAt(number);
        name = html::LinkIf(listed.contains(id), name);
        if (const auto found = report.labels.find(id); found != report.labels.end()) {
          label = Name(found->second);
        }
      }
      Put(out,
          "<tr class=\"{}\"><th scope=\"row\">{}</th><td class=\"number\">{}</td><td "
          "class=\"meter\">{}</td><td>{}</td></tr>\n",
          against ? "against" : "for", name, FormatSigned(score, 4),
          StaircaseBar(0, std::abs(score) / longest), label);
    }
  }
  out += "</tbody></table>\n";
}

void PutWords(std::string& out, const ExplanationReport& report) {
  const Explanation& e = report.explanation;
  double largest = 0;
  for (const double v : e.patch_part.flat()) largest = std::max(largest, std::abs(v));
  const double scale = RoundScale(largest);
  const FittedSize size = FitInto(report.picture.rgb, kWordSide);
  out += "<div class=\"maps words\">\n";
  for (Index j = 0; j < e.patch_part.dim(0); ++j) {
    const std::string text = PartText(At(e.parts, j));
    const ArrayView<const double, 2> grid(e.patch_part.row(j).data(), {report.grid, report.grid});
    Put(out, "<figure>{}<figcaption>{}<br><span class=\"muted\">{}</span></figcaption></figure>\n",
        ImageTag(DrawMap(report.picture, grid, scale, size.width, size.height), "map of " + text),
        Name(text), FormatSigned(e.of_part(j), 4));
  }
  out += "</div>\n";
  out += ScaleLegend(scale);
}

}  // namespace

std::string ImageTag(const Image& image, const std::string& what) {
  return "<img alt=\"" + EscapeHtml(what) + "\" width=\"" + std::to_string(image.width) +
         "\" height=\"" + std::to_string(image.height) + "\" src=\"data:image/webp;base64," +
         EncodeBase64(EncodeWebp(image, kWebpQuality)) + "\">";
}

std::string ScaleLegend(double scale, std::string_view says) {
  std::string out;
  Put(out,
      "<p class=\"legend\"><span>\u2212{0:g}</span><svg class=\"scale\" viewBox=\"0 0 100 1\" "
      "preserveAspectRatio=\"none\" shape-rendering=\"crispEdges\" aria-hidden=\"true\">",
      scale);
  constexpr int kSteps = 40;
  for (int i = 0; i < kSteps; ++i) {
    const Color color = MapColor((2.0 * i + 1) / kSteps - 1);
    Put(out, "<path fill=\"#{:02x}{:02x}{:02x}\" d=\"M{} 0h2.6v1h-2.6z\"/>", color.red, color.green,
        color.blue, 2.5 * i);
  }
  Put(out, "</svg><span>+{:g}</span><span class=\"muted\">{}; zero in the middle</span></p>\n",
      scale, says);
  return out;
}

std::string ScoreSection(const ReportScores& scores, const std::set<HeadId>& listed) {
  const ExplanationReport& report = scores.explanation;
  const Explanation& e = report.explanation;
  double components = 0;
  for (const double v : e.components) components += v;
  std::string out;
  Put(out,
      "<section id=\"scores\" aria-labelledby=\"scores-h\">\n<h2 id=\"scores-h\">Where a score "
      "comes from</h2>\n<p>The score of a picture and a text is the cosine of their embeddings. "
      "Here it is split over the patches of {}: red speaks for the text, blue against it. What no "
      "patch brings stands below each map.</p>\n",
      Name(scores.maps.picture.path));
  PutMaps(out, scores.maps);
  Put(out,
      "<h3>One score, by component and by word</h3>\n<p><q>{}</q> scores {}. All {} components add "
      "up to it within {}; the strongest on each side are listed.</p>\n",
      Name(report.text), FormatFixed(e.score, 4),
      FormatCount(static_cast<Index>(e.components.size())),
      FormatScientific(std::abs(components - e.score)));
  PutComponents(out, report, listed);
  Put(out,
      "<p>The text is a sum too, of its words and of what the text tower adds. Each pair of patch "
      "and word has its share of the score; all shares add up to it within {}. Below a word stands "
      "what it brings over the whole picture.</p>\n",
      FormatScientific(std::abs(e.sum - e.score)));
  PutWords(out, report);
  return out + "</section>\n";
}

}  // namespace cliplens
