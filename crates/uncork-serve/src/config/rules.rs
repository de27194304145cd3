//! The rules of a section.

use std::sync::Arc;

use super::error::{ConfigError, Fault};
use super::file::{self, Pairs, Section, Text};
use super::reading::Reading;
use super::value;
use crate::rules::{HeaderRule, Redirect, Rules};

impl Reading<'_> {
    /// The rules of a section: each key that it has replaces the one beneath.
    pub(super) fn rules(
        &self,
        section: &Section,
        beneath: &Rules,
    ) -> Result<Arc<Rules>, ConfigError> {
        let mut rules = beneath.clone();
        if let Some(index) = &section.index {
            rules.index = index
                .iter()
                .map(|name| {
                    self.checked(name, value::file_name)?;
                    Ok(name.get_ref().clone())
                })
                .collect::<Result<_, _>>()?;
        }
        // The empty text takes away what [defaults] says.
        if let Some(spa) = &section.spa {
            rules.spa = self.optional(spa, value::file_path)?;
        }
        if let Some(cache_control) = &section.cache_control {
            rules.cache_control = self.optional(cache_control, value::header_value)?;
        }
        rules.html_suffix = section.html_suffix.unwrap_or(rules.html_suffix);
        rules.listing = section.listing.unwrap_or(rules.listing);
        if let Some(hidden) = &section.hidden {
            rules.hidden = *hidden.get_ref();
        }
        rules.symlinks = section.symlinks.unwrap_or(rules.symlinks);
        rules.precompressed = section.precompressed.unwrap_or(rules.precompressed);
        rules.etag = section.etag.unwrap_or(rules.etag);
        if let Some(headers) = &section.headers {
            let headers = headers.iter().map(|rule| self.header_rule(rule));
            rules.headers = headers.collect::<Result<_, _>>()?;
        }
        if let Some(redirects) = &section.redirects {
            rules.redirects = self.redirects(redirects)?;
        }
        if let Some(pages) = &section.error_pages {
            rules.error_pages = self.error_pages(pages)?;
        }
        if let Some(types) = &section.types {
            rules.types = self.types(types)?;
        }
        self.pages_are_served(section, &rules)?;
        Ok(Arc::new(rules))
    }

    /// Refuses a page that would never be served, as it is hidden: at its place, or where the section
    /// hides a page of `[defaults]`.
    fn pages_are_served(&self, section: &Section, rules: &Rules) -> Result<(), ConfigError> {
        if rules.hidden {
            return Ok(());
        }
        if let Some(spa) = &section.spa {
            self.checked(spa, value::served)?;
        }
        for (_, page) in section.error_pages.iter().flat_map(|pages| &pages.0) {
            self.checked(page, value::served)?;
        }
        let Some(hidden) = &section.hidden else {
            return Ok(());
        };
        let pages = rules.error_pages.iter().map(|(_, page)| page);
        pages
            .chain(&rules.spa)
            .try_for_each(|page| value::served(page))
            .map_err(|fault| self.at(hidden.span().start, fault))
    }

    fn optional(
        &self,
        text: &Text,
        check: impl FnOnce(&str) -> Result<(), Fault>,
    ) -> Result<Option<String>, ConfigError> {
        if text.get_ref().is_empty() {
            return Ok(None);
        }
        self.checked(text, check)?;
        Ok(Some(text.get_ref().clone()))
    }

    fn header_rule(&self, rule: &file::Headers) -> Result<HeaderRule, ConfigError> {
        let path = self.checked(&rule.path, value::glob)?;
        let mut set: Vec<(String, String)> = Vec::with_capacity(rule.set.0.len());
        for (name, text) in &rule.set.0 {
            self.checked(name, value::header_name)?;
            self.checked(text, value::header_value)?;
            self.checked(name, |name| value::header_of_value(name, text.get_ref()))?;
            self.checked(name, |name| {
                if set
                    .iter()
                    .any(|(before, _)| before.eq_ignore_ascii_case(name))
                {
                    return Err(Fault::HeaderTwice {
                        value: name.to_owned(),
                    });
                }
                Ok(())
            })?;
            set.push((name.get_ref().clone(), text.get_ref().clone()));
        }
        Ok(HeaderRule { path, set })
    }

    fn redirects(&self, redirects: &[file::Redirect]) -> Result<Vec<Redirect>, ConfigError> {
        let mut all = Vec::with_capacity(redirects.len());
        for redirect in redirects {
            all.push(self.redirect(redirect)?);
            self.checked(&redirect.to, |to| value::redirects_end(&all, to))?;
        }
        Ok(all)
    }

    fn redirect(&self, redirect: &file::Redirect) -> Result<Redirect, ConfigError> {
        let from = redirect.from.get_ref();
        self.checked(&redirect.from, value::redirect_from)?;
        self.checked(&redirect.to, |to| value::redirect_to(to, from))?;
        let status = match &redirect.status {
            None => 301,
            Some(status) => match *status.get_ref() {
                301 => 301,
                302 => 302,
                303 => 303,
                307 => 307,
                308 => 308,
                value => {
                    return Err(self.at(status.span().start, Fault::RedirectStatus { value }));
                }
            },
        };
        Ok(Redirect {
            from: from.clone(),
            to: redirect.to.get_ref().clone(),
            status,
        })
    }

    fn error_pages(&self, pages: &Pairs) -> Result<Vec<(u16, String)>, ConfigError> {
        let page = |(status, path): &(Text, Text)| {
            let status = self.checked(status, |status| match status.parse::<u16>() {
                Ok(number @ (403 | 404 | 405 | 503)) => Ok(number),
                _ => Err(Fault::PageStatus {
                    value: status.to_owned(),
                }),
            })?;
            self.checked(path, value::file_path)?;
            Ok((status, path.get_ref().clone()))
        };
        pages.0.iter().map(page).collect()
    }

    fn types(&self, types: &Pairs) -> Result<Vec<(String, String)>, ConfigError> {
        let mut all: Vec<(String, String)> = Vec::with_capacity(types.0.len());
        for (extension, media_type) in &types.0 {
            let lower = extension.get_ref().to_ascii_lowercase();
            self.checked(extension, |extension| {
                let bad = extension.is_empty() || extension.contains(['.', '/', '\\', '\0']);
                if bad || all.iter().any(|(before, _)| *before == lower) {
                    return Err(Fault::Extension {
                        value: extension.to_owned(),
                    });
                }
                Ok(())
            })?;
            self.checked(media_type, value::media_type)?;
            all.push((lower, media_type.get_ref().clone()));
        }
        Ok(all)
    }
}
