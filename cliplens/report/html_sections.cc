#include "cliplens/report/html_sections.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/report/markup.h"

namespace cliplens {
namespace {

using html::Name;
using html::Percent;
using html::Put;

constexpr int kHues = 8;       // colours.css has k0 … k7, and k8 for the properties beyond
constexpr int kStrengths = 5;  // and c1 … c5
constexpr std::size_t kComponents = 12;  // in the table of single components
constexpr std::size_t kIndexHeads = 8;   // of a property

std::string HeadLink(HeadId id, const std::set<HeadId>& listed) {
  return html::LinkIf(listed.contains(id), HeadName(id));
}

// The colour of each property: those that most heads are labelled with first.
std::vector<int> HuesOf(const LabelReport& report) {
  std::vector<Index> count(report.table.names.size(), 0);
  for (const HeadLabel& head : report.labels) {
    if (head.label >= 0) ++At(count, head.label);
  }
  std::vector<std::size_t> order(count.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return count[a] > count[b]; });
  std::vector<int> hues(count.size(), kHues);
  for (std::size_t i = 0; i < order.size(); ++i)
    hues[order[i]] = std::min<int>(static_cast<int>(i), kHues);
  return hues;
}

int StrengthOf(double confidence) {
  return std::clamp(static_cast<int>(std::ceil(kStrengths * confidence)), 1, kStrengths);
}

void PutGrid(std::string& out, const LabelReport& report, const std::vector<int>& hues,
             const std::set<HeadId>& listed) {
  std::map<HeadId, const HeadLabel*> label_of;
  int layers = 0, heads = 0;
  Level level = Level::kBlocks;
  for (const HeadLabel& head : report.labels) {
    label_of[head.id] = &head;
    level = head.id.level;
    layers = std::max(layers, head.id.layer + 1);
    heads = std::max(heads, head.id.head + 1);
  }
  Put(out,
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"labels-h\">\n"
      "<table class=\"map labels{}\" aria-labelledby=\"labels-h\">\n<thead><tr><th scope=\"col\">"
      "<span class=\"hide\">Layer</span></th>",
      heads > 8 ? " wide" : "");
  for (int h = 0; h < heads; ++h) Put(out, "<th scope=\"col\">H{}</th>", h);
  out += "</tr></thead>\n<tbody>\n";
  for (int l = layers - 1; l >= 0; --l) {
    Put(out, "<tr><th scope=\"row\">{}</th>", NameOf({l, ComponentId::Kind::kLayer, 0, level}));
    for (int h = 0; h < heads; ++h) {
      const auto found = label_of.find({l, h, level});
      if (found == label_of.end()) {
        out += "<td class=\"void\"></td>";
        continue;
      }
      const HeadLabel& head = *found->second;
      const std::string name = HeadName(head.id);
      if (head.label < 0) {
        const std::string withheld =
            head.guess < 0
                ? "it does not vary"
                : fmt::format("{}, confidence {:.2f}, is withheld",
                              EscapeHtml(At(report.table.names, head.guess)), head.confidence);
        Put(out, "<td class=\"none\"><span title=\"{}: no label; {}\">\u2013</span></td>", name,
            withheld);
        continue;
      }
      const auto property = ToSize(head.label);
      const std::string title =
          fmt::format("{}: {}, confidence {:.2f}", name, EscapeHtml(report.table.names[property]),
                      head.confidence);
      const std::string text =
          EscapeHtml(report.table.names[property]) +
          (head.second >= 0
               ? "<small> +" + EscapeHtml(At(report.table.names, head.second)) + "</small>"
               : "");
      Put(out, "<td class=\"k{} c{}\">", hues[property], StrengthOf(head.confidence));
      if (listed.contains(head.id)) {
        Put(out, "<a href=\"#{}\" title=\"{}\">{}</a></td>", name, title, text);
      } else {
        Put(out, "<span title=\"{}\">{}</span></td>", title, text);
      }
    }
    out += "</tr>\n";
  }
  out += "</tbody></table>\n</div>\n";
}

void PutIndex(std::string& out, const LabelReport& report, const std::vector<int>& hues,
              const std::set<HeadId>& listed) {
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Property</th><th scope=\"col\" "
      "class=\"number\">heads</th><th scope=\"col\">Heads whose variance it explains most "
      "of</th></tr></thead>\n<tbody>\n";
  for (std::size_t p = 0; p < report.table.names.size(); ++p) {
    const std::vector<const HeadLabel*> heads = HeadsOfProperty(report, p);
    const auto labelled = std::ranges::count_if(
        report.labels, [&](const HeadLabel& head) { return head.label == static_cast<Index>(p); });
    Put(out,
        "<tr><th scope=\"row\"><i class=\"k{} c{}\"></i>{}</th><td class=\"number\">{}</td><td>",
        hues[p], kStrengths, Name(report.table.names[p]), labelled);
    for (std::size_t i = 0; i < std::min(kIndexHeads, heads.size()); ++i) {
      Put(out, "{}{} {}", i == 0 ? "" : ", ", HeadLink(heads[i]->id, listed),
          Percent(heads[i]->properties[p].share.value));
    }
    if (heads.size() > kIndexHeads) Put(out, " and {} more", heads.size() - kIndexHeads);
    out += heads.empty() ? "<span class=\"muted\">none above chance</span></td></tr>\n"
                         : "</td></tr>\n";
  }
  out += "</tbody></table>\n";
}

}  // namespace

std::string LabelSection(const LabelReport& report, const std::set<HeadId>& listed) {
  const std::vector<int> hues = HuesOf(report);
  const LabelScores& s = report.scores;
  std::string out;
  Put(out,
      "<section id=\"labels\" aria-labelledby=\"labels-h\">\n<h2 id=\"labels-h\">What the heads "
      "tell of</h2>\n<p>{} of {} heads tell of one of the {} properties of {}: the model\u2019s "
      "own answers to its texts explain more of their variance than any other property\u2019s.{} "
      "The stronger the colour, the higher the confidence, which is {}.</p>\n",
      s.labelled, s.heads, report.table.names.size(), Name(report.properties_name),
      s.labelled == s.heads ? ""
                            : " The others have a best guess whose confidence is below one half.",
      report.uncalibrated.empty()
          ? "calibrated"
          : fmt::format("not calibrated: {}",
                        EscapeHtml(fmt::format("{}", fmt::join(report.uncalibrated, "; ")))));
  PutGrid(out, report, hues, listed);
  Put(out,
      "<p class=\"muted\">A label is carried by {} heads on average (entanglement; {} of the "
      "number of heads). In {} of heads at least three of the first five texts of {} are of the "
      "label\u2019s property.</p>\n",
      FormatFixed(s.entanglement, 2), Percent(s.entanglement_by_heads),
      Percent(s.association.at(3)), Name(report.scores_pool));
  PutIndex(out, report, hues, listed);
  return out + "</section>\n";
}

std::string LabelOfCard(const LabelReport& report, const HeadLabel& label,
                        const std::function<std::string(const LabelEvidence&)>& picture) {
  const auto name = [&](Index property) { return Name(At(report.table.names, property)); };
  std::string out = "<div class=\"label\">\n";
  if (label.label < 0) {
    Put(out, "<p class=\"muted\">No label: {}.</p>\n",
        label.guess < 0 ? "the head does not vary"
                        : fmt::format("the best guess, {}, has a confidence of {}",
                                      name(label.guess), FormatFixed(label.confidence, 2)));
  } else {
    Put(out,
        "<dl class=\"figures\"><div><dt>tells "
        "of</dt><dd>{}{}</dd></div><div><dt>confidence</dt><dd>{}</dd></div><div><dt>stability</"
        "dt><dd>{}</dd></div><div><dt>coverage</dt><dd>{}</dd></div>",
        name(label.label), label.second < 0 ? "" : "<small> and " + name(label.second) + "</small>",
        FormatFixed(label.confidence, 2), FormatFixed(label.stability, 2), Percent(label.coverage));
    if (label.rival >= 0) {
      Put(out, "<div><dt>best rival, beyond it</dt><dd>{}<small> {}</small></dd></div>",
          name(label.rival), Percent(At(label.properties, label.rival).beyond));
    }
    out += "</dl>\n";
  }
  std::vector<std::size_t> order(label.properties.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return label.properties[a].share.value > label.properties[b].share.value;
  });
  out += "<p class=\"kinds\"><span>Explained by the model\u2019s answers</span>";
  for (std::size_t i = 0; i < std::min<std::size_t>(5, order.size()); ++i) {
    const PropertyShare& share = label.properties[order[i]];
    if (share.share.value <= 0) break;
    Put(out, " <span{}><b>{}</b> {}</span>",
        share.share.value > share.chance ? "" : " class=\"muted\"",
        Name(report.table.names[order[i]]), Percent(share.share.value));
  }
  out += "</p>\n";
  if (!label.texts.empty()) {
    out += "<p class=\"kinds\"><span>Most by</span>";
    for (std::size_t t = 0; t < std::min<std::size_t>(4, label.texts.size()); ++t) {
      Put(out, " <span><q>{}</q>{}</span>", Name(At(report.pool.texts, label.texts[t].index)),
          Percent(label.texts[t].share));
    }
    out += "</p>\n";
  }
  std::string pictures;
  for (const LabelEvidence& evidence : label.pictures) {
    const std::string shown = picture(evidence);
    if (!shown.empty()) pictures += "<li>" + shown + "</li>";
  }
  if (!pictures.empty()) {
    out += "<div class=\"row\"><span class=\"end\">speak for it</span><ul class=\"strip\">" +
           pictures + "</ul></div>\n";
  }
  return out + "</div>\n";
}

std::string AblationSection(const AccuracySetting& setting, const AblationResult& result) {
  std::string out;
  Put(out,
      "<section id=\"ablation\" aria-labelledby=\"ablation-h\">\n<h2 id=\"ablation-h\">How much "
      "depends on what</h2>\n<p>Zero-shot accuracy when parts of the model write their mean "
      "whatever the picture, on {} with a label among the {} classes of {}; {}. Small figures are "
      "bounds of 95\u2009% over resampled pictures.</p>\n",
      Counted(result.images, "picture"), FormatCount(setting.classes), Name(setting.classes_name),
      setting.means.empty() ? "means of these pictures" : "means of " + Name(setting.means));
  const std::map<std::string, std::string> names = {
      {"base", "as it is"},
      {"mlps", "MLPs and input replaced"},
      {"cls_attn", setting.store.pools_class_token()
                       ? "class token\u2019s attention to itself replaced"
                       : "attention to the class token replaced"},
      {"mlps+cls_attn", "both replaced"},
      {"pool_mlp", "POOL.MLP, the MLP behind the pool, replaced"},
      {"mlps+pool_mlp", "MLPs, input and POOL.MLP replaced"}};
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Representation</th><th scope=\"col\" "
      "class=\"number\">accuracy, %</th><th scope=\"col\" class=\"number\">score of the right "
      "class</th></tr></thead>\n<tbody>\n";
  for (const AblationRow& row : result.rows) {
    Put(out,
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td "
        "class=\"number\">{}</td></tr>\n",
        names.at(row.name), html::Bounded(row.accuracy, 100, 1), html::Bounded(row.score, 1, 4));
  }
  out += "</tbody></table>\n<figure class=\"curve\">" +
         RenderCurve(AblationCurve(result), /*embedded=*/true) + "</figure>\n";
  const std::vector<const ComponentAblation*> order = ComponentsByLoss(result);
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Replaced alone</th><th scope=\"col\" "
      "class=\"number\">accuracy lost, points</th><th scope=\"col\" class=\"number\">score "
      "lost</th></tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < std::min(kComponents, order.size()); ++i) {
    const ComponentAblation& c = *order[i];
    Put(out,
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td "
        "class=\"number\">{}</td></tr>\n",
        c.component, html::Bounded(c.accuracy_lost, 100, 2), html::Bounded(c.score_lost, 1, 4));
  }
  return out + "</tbody></table>\n</section>\n";
}

std::string GroupSection(const GroupReport& report) {
  constexpr std::size_t kMostGroups = 6;
  std::string out;
  Put(out,
      "<section id=\"groups\" aria-labelledby=\"groups-h\">\n<h2 id=\"groups-h\">Group by "
      "group</h2>\n<p>Zero-shot accuracy on {} by class of {} and by {}. ",
      Counted(report.result.images, "picture"), Name(report.setting.classes_name),
      Name(report.attribute));
  if (!report.edit_names.empty()) {
    Put(out, "The edit replaces {}, by means of {}. ", Name(report.edit_names),
        report.edit_means.empty() ? "these pictures" : Name(report.edit_means));
  }
  out += "Small figures are bounds of 95\u2009% over resampled pictures.</p>\n";
  if (report.lean) {
    Put(out, "<p>Before any edit, with {} as the cue: {}.</p>\n", Name(report.attribute),
        EscapeHtml(GroupLeanText(report)));
  }
  for (const std::string& warning : GroupWarnings(report)) Put(out, "<p>{}</p>\n", Name(warning));
  out +=
      "<table class=\"index\">\n<thead><tr><th scope=\"col\">Accuracy, %</th><th scope=\"col\" "
      "class=\"number\">worst group</th><th scope=\"col\" class=\"number\">average</th>";
  const std::vector<GroupFigures> groups =
      report.result.rows.empty() ? std::vector<GroupFigures>() : report.result.rows[0].groups;
  const bool by_group = groups.size() <= kMostGroups;
  for (std::size_t g = 0; by_group && g < groups.size(); ++g) {
    Put(out, "<th scope=\"col\" class=\"number\">{}, {}</th>",
        Name(At(report.classes, groups[g].class_index)),
        Name(At(report.values, groups[g].attribute)));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const GroupRow& row : report.result.rows) {
    Put(out,
        "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>",
        Name(GroupRowText(report, row.name)), html::Bounded(row.worst, 100, 1),
        html::Bounded(row.average, 100, 1));
    for (std::size_t g = 0; by_group && g < row.groups.size(); ++g) {
      Put(out, "<td class=\"number\">{:.1f}</td>", 100 * row.groups[g].accuracy.value);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n</section>\n";
}

}  // namespace cliplens
