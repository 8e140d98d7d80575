//! Operator parameters as 32-bit words: each struct's fields, in order.

/// A value that is stored in one parameter word.
pub(crate) trait Word: Sized {
    fn into_word(self) -> u32;
    fn from_word(word: u32) -> Option<Self>;
}

impl Word for u32 {
    fn into_word(self) -> u32 {
        self
    }
    fn from_word(word: u32) -> Option<Self> {
        Some(word)
    }
}

impl Word for i32 {
    fn into_word(self) -> u32 {
        self as u32
    }
    fn from_word(word: u32) -> Option<Self> {
        Some(word as i32)
    }
}

impl Word for f32 {
    fn into_word(self) -> u32 {
        self.to_bits()
    }
    fn from_word(word: u32) -> Option<Self> {
        let value = f32::from_bits(word);
        value.is_finite().then_some(value)
    }
}

impl Word for bool {
    fn into_word(self) -> u32 {
        u32::from(self)
    }
    fn from_word(word: u32) -> Option<Self> {
        match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Declares a parameter struct whose fields are, in order, its words; an array takes
/// as many words as it has elements.
macro_rules! parameters {
    (
        $(#[$doc:meta])+
        pub struct $name:ident {
            $($(#[$field_doc:meta])+ pub $field:ident: $kind:tt,)*
        }
    ) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])+ pub $field: $kind,)*
        }

        impl $name {
            pub(crate) fn words(&self) -> [u32; crate::step::WORDS] {
                let mut words = [0u32; crate::step::WORDS];
                let mut next = words.iter_mut();
                $(parameters!(@write self.$field, $kind, next);)*
                let _ = next;
                words
            }

            pub(crate) fn from_words(words: &[u32; crate::step::WORDS]) -> Option<Self> {
                let mut next = words.iter();
                let parameters = Self { $($field: parameters!(@read $kind, next),)* };
                // Unused words are zero, so that a later version can give them meaning.
                next.all(|&word| word == 0).then_some(parameters)
            }
        }
    };
    (@write $value:expr, [$kind:ty; $n:literal], $next:ident) => {
        for value in $value {
            if let Some(word) = $next.next() {
                *word = crate::step::word::Word::into_word(value);
            }
        }
    };
    (@write $value:expr, $kind:tt, $next:ident) => {
        if let Some(word) = $next.next() {
            *word = crate::step::word::Word::into_word($value);
        }
    };
    (@read [$kind:ty; $n:literal], $next:ident) => {{
        let mut values = [<$kind>::default(); $n];
        for value in &mut values {
            *value = <$kind as crate::step::word::Word>::from_word(*$next.next()?)?;
        }
        values
    }};
    (@read $kind:tt, $next:ident) => {
        <$kind as crate::step::word::Word>::from_word(*$next.next()?)?
    };
}
pub(crate) use parameters;
