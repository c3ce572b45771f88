//! Golden expectations: what each kind of element becomes.
