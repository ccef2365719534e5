#include "cliplens/report/comparison_section.h"

#include <algorithm>

#include <fmt/format.h>

#include "cliplens/report/comparison_report.h"
#include "cliplens/report/heat_map_report.h"
#include "cliplens/report/markup.h"
#include "cliplens/report/score_section.h"

namespace cliplens {
namespace {

using html::Name;
using html::Put;

constexpr std::size_t kChangedHeads = 12;
constexpr std::size_t kReasons = 3;  // components of a flip
constexpr Index kMapSide = 240;

std::string BoundsHtml(const std::optional<Estimate>& e, double factor, int decimals) {
  return e ? html::Bounded(*e, factor, decimals) : "<span class=\"muted\">unknown</span>";
}

std::string LabelHtml(const std::map<HeadId, ComparedLabel>& labels, HeadId head) {
  const auto found = labels.find(head);
  if (found == labels.end()) return "";
  return found->second.label.empty() ? "<span class=\"muted\">none</span>"
                                     : Name(found->second.label);
}

void PutHeads(std::string& out, const ComparisonReport& report, const std::set<HeadId>& listed) {
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Head</th><th scope=\"col\" "
      "class=\"number\">likeness (CKA)</th><th scope=\"col\" class=\"number\">share before, "
      "%</th><th scope=\"col\" class=\"number\">after</th><th scope=\"col\" "
      "class=\"number\">change, points</th>";
  if (report.labels) out += "<th scope=\"col\">label before</th><th scope=\"col\">after</th>";
  out += "</tr></thead>\n<tbody>\n";
  const std::vector<const ComponentChange*> heads = HeadsByChange(report, ChangeOrder::kSimilarity);
  for (std::size_t i = 0; i < std::min(kChangedHeads, heads.size()); ++i) {
    const ComponentChange& c = *heads[i];
    const std::string name = NameOf(c.id);
    const auto share = [](const std::optional<Estimate>& e) {
      return e ? FormatFixed(100 * e->value, 1) : std::string("unknown");
    };
    Put(out,
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td "
        "class=\"number\">{}</td><td class=\"number\">{}</td>",
        html::LinkIf(listed.contains(c.id.head_id()), name), BoundsHtml(c.similarity, 1, 3),
        share(c.share_a), share(c.share_b), BoundsHtml(c.share_change, 100, 1));
    if (report.labels) {
      Put(out, "<td>{}</td><td>{}</td>", LabelHtml(report.labels->a, c.id.head_id()),
          LabelHtml(report.labels->b, c.id.head_id()));
    }
    out += "</tr>\n";
  }
  Put(out,
      "</tbody></table>\n<p class=\"muted\">The {} of {} heads that are least alike. CKA is 1 "
      "where "
      "a head tells pictures apart as it did before, whatever turn, shift and scale lie between, "
      "and 0 where it has nothing to do with what it did.{}</p>\n",
      std::min(kChangedHeads, heads.size()), heads.size(),
      report.labels
          ? fmt::format(" {} of {} labels changed.", report.labels->changed, report.labels->heads)
          : std::string());
}

void PutFlips(std::string& out, const ComparisonReport& report, const PagePictures& pictures) {
  const ComparedAnswers& answers = *report.answers;
  const AnswerChange& change = answers.change;
  if (change.difference) {
    Put(out,
        "<p>Accuracy on {} with a label among the {} classes of {} is {} % before and {} % after: "
        "{} points. {} are right before alone, {} after alone; McNemar\u2019s exact test gives p = "
        "{:.2g}.</p>\n",
        Counted(change.labelled, "picture"), FormatCount(std::ssize(answers.classes)),
        Name(answers.classes_name), BoundsHtml(change.accuracy_a, 100, 1),
        BoundsHtml(change.accuracy_b, 100, 1), BoundsHtml(change.difference, 100, 1),
        FormatCount(change.counts.first), FormatCount(change.counts.second), *change.p);
  }
  Put(out, "<p>{} of {} have another answer.</p>\n", FormatCount(std::ssize(change.flips)),
      Counted(change.images, "picture"));
  if (report.flips == 0) return;
  const Components components = answers.components;
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Picture</th><th "
      "scope=\"col\">label</th><th scope=\"col\">before</th><th scope=\"col\">after</th><th "
      "scope=\"col\" class=\"number\">change of the margin</th><th scope=\"col\">most of it "
      "from</th></tr></thead>\n<tbody>\n";
  for (Index f = 0; f < report.flips; ++f) {
    const Flip& flip = At(change.flips, f);
    const Index item = At(answers.common.a, flip.picture);
    std::string picture;
    if (pictures.Has(item)) {
      picture = "<div class=\"small\">";
      pictures.PutPicture(picture, {item, flip.change()});
      picture += "</div>";
    } else {
      picture = Name(At(answers.common.paths, flip.picture));
    }
    std::string why;
    const std::vector<Index> order = ComponentsOfFlip(flip);
    for (std::size_t i = 0; i < std::min(kReasons, order.size()); ++i) {
      Put(why, "{}{} {}", i == 0 ? "" : ", ", NameOf(components.at(order[i])),
          FormatSigned(flip.ComponentChange(order[i]), 4));
    }
    Put(out,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td>"
        "</tr>\n",
        picture, flip.label < 0 ? "" : Name(At(answers.classes, flip.label)),
        Name(At(answers.classes, flip.before)), Name(At(answers.classes, flip.after)),
        FormatSigned(flip.change(), 4), why);
  }
  out +=
      "</tbody></table>\n<p class=\"muted\">The margin is the score of the new answer minus that "
      "of "
      "the old one. All components\u2019 changes add up to its change.</p>\n";
}

void PutPairs(std::string& out, const ComparisonReport& report) {
  for (const MapPair& pair : report.maps) {
    const FittedSize size = FitInto(pair.picture_a.rgb, kMapSide);
    const double scale = ScaleOf(pair);
    Put(out, "<div class=\"maps\">\n<figure>{}<figcaption>{}</figcaption></figure>\n",
        ImageTag(DrawInput(pair.picture_a, size.width, size.height), "the picture"),
        Name(pair.picture_a.path));
    const auto put = [&](const char* when, const MappedPicture& picture,
                         const HeatMapPanel& panel) {
      Put(out, "<figure>{}<figcaption>{}: <q>{}</q>{} {}</figcaption></figure>\n",
          ImageTag(DrawMap(picture, panel.map.grid, scale, size.width, size.height),
                   "map of " + panel.text),
          when, Name(panel.text),
          panel.against.empty() ? "" : " minus <q>" + Name(panel.against) + "</q>",
          FormatSigned(panel.map.score, 4));
    };
    put("before", pair.picture_a, pair.a);
    put("after", pair.picture_b, pair.b);
    out += "</div>\n" + ScaleLegend(scale);
  }
}

}  // namespace

std::string ComparisonSection(const ComparisonReport& report, const std::set<HeadId>& listed,
                              const PagePictures& pictures) {
  std::string out;
  Put(out,
      "<section id=\"beside\" aria-labelledby=\"beside-h\">\n<h2 id=\"beside-h\">Before and "
      "after</h2>\n<p>{}. Heads are compared place by place. The whole embeddings\u2019 likeness "
      "is "
      "{}. Small figures are bounds of 95\u2009%.</p>\n",
      EscapeHtml(ComparisonBasis(report)), BoundsHtml(report.change.similarity, 1, 3));
  PutHeads(out, report, listed);
  if (report.answers) PutFlips(out, report, pictures);
  PutPairs(out, report);
  for (const std::string& missing : report.missing) {
    Put(out, "<p class=\"muted\">Not shown: {}.</p>\n", EscapeHtml(missing));
  }
  return out + "</section>\n";
}

}  // namespace cliplens
